"""Keras knows our layers as soon as `stn_rectify.models` is imported, whichever of the two comes first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stn_rectify.models import lightweight_stn


@pytest.mark.parametrize(
    "imports",
    [
        pytest.param("import stn_rectify.models, keras", id="ours first"),
        pytest.param("import keras, stn_rectify.models", id="Keras first", marks=pytest.mark.slow),
    ],
)
def test_keras_loads_our_models_once_the_package_is_imported(tmp_path: Path, imports: str) -> None:
    model = lightweight_stn((32, 32, 1), width=0.5)
    model.save(tmp_path / "stn.keras")
    code = f"{imports}; print(len(keras.models.load_model('stn.keras', compile=False).layers))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(len(model.layers)), done.stderr
