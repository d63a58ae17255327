"""PyTorch's networks → files, against PyTorch's own numbers: those that `pytorch_models/make_files.py` wrote."""

from __future__ import annotations

import numpy as np
import pytest

from stn_rectify.converters.networks.stn import read_stn
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.runtime.errors import ModelFileError
from tests.converters.pytorch_models.comparison import NAMES, measured, prepare
from tests.slow_tests import quick_ones

QUICK = "tutorial centres-zeros"


@pytest.mark.parametrize("name", quick_ones({name: name for name in NAMES}, QUICK))
def test_the_file_gives_what_pytorch_gives(tmp_path, name):
    found = measured(name, tmp_path)
    # INT8 moves the corners by some tenths of a pixel, and with them the edges of the digits.
    assert found.levels_mean < 4
    assert found.corners_mean_px < 0.4
    assert found.same_class >= 0.95
    assert ("reflection" in name) == any("(--accept-border)" in warning for warning in found.warnings)


@pytest.mark.parametrize("name", quick_ones({name: name for name in NAMES}, QUICK))
def test_what_is_compared_with_is_what_pytorch_gives(tmp_path, name):
    """The parts of the file, in float: θ, the image and the scores."""
    source, numbers = prepare(name, tmp_path)
    parts = read_stn(source, ConversionOptions(tmp_path, accept_border=True))
    frames = np.float32(numbers["frames"] / 255)
    pictured = len(numbers["images"])
    outputs = parts.run(frames)
    np.testing.assert_allclose(outputs["class_scores"], numbers["scores"], atol=2e-4)
    np.testing.assert_allclose(outputs["rectified"][:pictured], numbers["images"], atol=2e-3)  # float16
    graph = parts.whole(frames[:1])
    np.testing.assert_allclose(np.asarray(graph["rectified"])[0], numbers["images"][0], atol=2e-3)
    padding = "border" if "border" in name or name == "colour" else "zeros"
    assert parts.padding == padding or "reflection" in name


def test_reflection_is_taken_for_another_border_by_an_option_alone(tmp_path):
    source, _ = prepare("tutorial centres-reflection", tmp_path)
    with pytest.raises(ModelFileError, match=r"--accept-border the nearest, \w+, is taken: \d+\.\d % of the pixels"):
        read_stn(source, ConversionOptions(tmp_path))
