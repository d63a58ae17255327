from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from stn_rectify.runtime import UsageError
from stn_rectify.runtime.sources.frame_view import FrameView

ROIS = [(0.0, 0.0, 1.0, 1.0), (0.25, 0.5, 0.5, 0.25), (0.1, 0.2, 0.37, 0.45), (0.7, 0.0, 0.3, 1.0)]


def by_hand(image: np.ndarray, view: FrameView) -> np.ndarray:
    """Flips, then rotation, then the region, each by NumPy alone."""
    if view.hflip:
        image = image[:, ::-1]
    if view.vflip:
        image = image[::-1]
    image = np.rot90(image, -view.rotation // 90)
    height, width = image.shape[:2]
    x, y, w, h = view.roi
    return image[round(y * height) : round((y + h) * height), round(x * width) : round((x + w) * width)]


@pytest.mark.parametrize("shape", [(37, 61, 3), (48, 64)], ids=["colour, odd", "grey, even"])
@pytest.mark.parametrize("roi", ROIS)
def test_flips_then_rotation_then_region(shape: tuple[int, ...], roi: tuple[float, float, float, float]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    before = image.copy()
    for hflip, vflip, rotation in product((False, True), (False, True), (0, 90, 180, 270)):
        view = FrameView(hflip, vflip, rotation, roi)
        np.testing.assert_array_equal(view.apply(image), by_hand(image, view), err_msg=str(view))
    np.testing.assert_array_equal(image, before)


def test_rotation_is_clockwise() -> None:
    image = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    np.testing.assert_array_equal(FrameView(rotation=90).apply(image), [[4, 1], [5, 2], [6, 3]])


def test_the_region_counts_in_the_picture_as_it_is_seen() -> None:
    image = np.array([[1, 2, 3, 4]] * 2, np.uint8)
    np.testing.assert_array_equal(FrameView(hflip=True, roi=(0, 0, 0.25, 1)).apply(image), [[4], [4]])


def test_only_flips_and_rotations_copy() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    assert FrameView().apply(image).base is image
    assert np.shares_memory(FrameView(roi=(0.5, 0.5, 0.5, 0.5)).apply(image), image)
    for view in (FrameView(hflip=True), FrameView(rotation=90), FrameView(vflip=True, roi=(0.2, 0.2, 0.5, 0.5))):
        seen = view.apply(image)
        assert not np.shares_memory(seen, image)
        assert seen.flags.c_contiguous


@pytest.mark.parametrize("roi", [(0, 0, 0.001, 0.001), (0.999, 0.999, 0.001, 0.001), (1.0 - 1e-12, 0, 1e-12, 1)])
def test_a_region_is_never_empty(roi: tuple[float, float, float, float]) -> None:
    assert min(FrameView(roi=roi).apply(np.zeros((48, 64), np.uint8)).shape) >= 1


def test_regions_of_decimals_that_add_up_to_one_are_taken() -> None:
    for tenths in range(1, 10):
        FrameView(roi=(tenths / 10, tenths / 10, 1 - tenths / 10, 1 - tenths / 10))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"rotation": 45}, "rotation is 45: choose 0, 90, 180 or 270", id="rotation"),
        pytest.param({"rotation": -90}, "rotation is -90", id="negative rotation"),
        pytest.param({"roi": (0, 0, 1)}, "roi is 0,0,1: give x,y,width,height", id="three numbers"),
        pytest.param({"roi": (0.5, 0, 0.6, 1)}, "roi is 0.5,0,0.6,1: .* at most 1", id="beyond the frame"),
        pytest.param({"roi": (0, 0, 0, 0)}, "must be above 0", id="no area"),
        pytest.param({"roi": (-0.1, 0, 0.5, 0.5)}, "each 0 to 1", id="negative"),
        pytest.param({"roi": (float("nan"), 0, 0.5, 0.5)}, "each 0 to 1", id="not a number"),
        pytest.param({"roi": (160, 120, 320, 240)}, "each 0 to 1, such as", id="pixels"),
    ],
)
def test_bad_values_are_refused_in_one_line(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        FrameView(**values)
    assert "\n" not in str(raised.value)
