"""What the tests of batches start from: models with frames, and what a first run makes of them."""

from __future__ import annotations

import pytest

from tests.converters.conversion_commands import save_tiny_model, start_command
from tests.converters.keras_models import save_frames


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    """Two models, a broken one and frames."""
    folder = tmp_path_factory.mktemp("inputs")
    for seed, name in enumerate("ab"):
        save_tiny_model(folder / "models" / f"{name}.keras", seed)
    whole = (folder / "models" / "a.keras").read_bytes()
    (folder / "models" / "broken.keras").write_bytes(whole[: len(whole) // 2])
    save_frames(folder, (16, 16, 3), 20)
    return folder


@pytest.fixture(scope="session")
def built(inputs):
    """What comes of them: the folder ``build``, the exit status and what was printed."""
    arguments = ["models", "--out", "build", "--calibration", "frames3.npz", "--jobs", "2"]
    process = start_command(inputs, *arguments)
    out, err = process.communicate()
    return inputs, process.returncode, out, err
