"""The margin around the target in the rectified image, and the numbers that options accept."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stn_rectify.runtime import Rectifier, UsageError
from stn_rectify.runtime.geometry import (
    corners_to_homography,
    homography_to_theta,
    identity_theta,
    transform_points,
)
from stn_rectify.runtime.rectifying.arguments import checked_size
from stn_rectify.runtime.rectifying.pixels.frame_sampler import FrameSampler

MakeModel = Callable[..., Path]

SHRUNK = (0.5, 0, 0, 0, 0.4, 0, 0, 0)
TPS = tuple((np.asarray(identity_theta("tps")) * 0.5).tolist())


def corners_in_image(image: np.ndarray, margin: float) -> np.ndarray:
    """Where the docstring says that the target's corners lie in the image, pixels."""
    low, high = margin / (1 + 2 * margin), (1 + margin) / (1 + 2 * margin)
    shares = np.array([[low, low], [high, low], [high, high], [low, high]])
    return shares * image.shape[1::-1] - 0.5


@pytest.mark.parametrize("margin", [0, 0.08, 0.5, np.float32(0.25), np.int64(1)])
def test_the_image_shows_the_margin_and_corners_stay(make_model: MakeModel, frame: np.ndarray, margin: float) -> None:
    with Rectifier(make_model(), margin=margin) as wide, Rectifier(make_model()) as tight:
        result, plain = wide.rectify(frame), tight.rectify(frame)
        assert wide.margin == pytest.approx(float(margin))
    np.testing.assert_array_equal(result.corners, plain.corners)
    found = transform_points(result.homography, corners_in_image(result.image, float(margin)))
    np.testing.assert_allclose(found, plain.corners, atol=1e-6)
    growth = np.array(result.image.shape[:2]) / plain.image.shape[:2]
    assert (growth > 1).all() == (margin > 0)


def test_pixels_keep_their_resolution_and_their_place(make_model: MakeModel, frame: np.ndarray) -> None:
    with Rectifier(make_model(SHRUNK), margin=0.25) as wide, Rectifier(make_model(SHRUNK)) as tight:
        image, inner = wide.rectify(frame).image, tight.rectify(frame).image
    assert inner.shape == (96, 160, 3)
    assert image.shape == (144, 240, 3)
    np.testing.assert_allclose(image[24:120, 40:200].astype(int), inner, atol=1)
    np.testing.assert_allclose(image.astype(int), frame[48:192, 40:280], atol=1)


@pytest.mark.parametrize("margin", [0.1, 0.5, 1])
def test_a_margin_leaves_the_targets_own_size_in_the_image(frame: np.ndarray, margin: float) -> None:
    corners = np.array([[200.0, 60], [240, 50], [242, 76], [199, 80]])  # the right side a fifth longer than the left
    theta = homography_to_theta(corners_to_homography(corners, frame.shape[1], frame.shape[0]))
    tight, _ = FrameSampler(None, "border", 0).rectified(frame, theta, corners)
    wide, homography = FrameSampler(None, "border", 0, margin=margin).rectified(frame, theta, corners)
    np.testing.assert_allclose(wide.shape[:2], (1 + 2 * margin) * np.array(tight.shape[:2]), atol=2)
    np.testing.assert_allclose(transform_points(homography, corners_in_image(wide, margin)), corners, atol=1e-6)


@pytest.mark.parametrize("size", [(64, 48), (64, 0), (0, 48)])
def test_an_output_size_is_that_of_the_whole_image(
    make_model: MakeModel, frame: np.ndarray, size: tuple[int, int]
) -> None:
    with Rectifier(make_model(SHRUNK), margin=0.25, output_size=size) as rectifier:
        result = rectifier.rectify(frame)
    wanted = [side or None for side in size[::-1]]
    assert all(side in (None, actual) for side, actual in zip(wanted, result.image.shape, strict=False))
    found = transform_points(result.homography, corners_in_image(result.image, 0.25))
    np.testing.assert_allclose(found, result.corners, atol=1e-6)


def test_smoothed_corners_get_a_margin_as_well(make_model: MakeModel, frame: np.ndarray) -> None:
    corners = np.array([[60.0, 50], [200, 60], [190, 160], [70, 150]])
    with Rectifier(make_model(), margin=0.1) as rectifier:
        result = rectifier.sample(frame, rectifier.locate(frame), corners=corners)
    found = transform_points(result.homography, corners_in_image(result.image, 0.1))
    np.testing.assert_allclose(found, corners, atol=1e-6)


def test_a_margin_behind_the_camera_is_left_out(frame: np.ndarray) -> None:
    steep = np.array([0.3, 0, 0, 0, 0.3, 0, 0, 0.9])
    corners = transform_points(
        np.array([[160, 0, 159.5], [0, 120, 119.5], [0, 0, 1.0]]) @ np.array([[0.3, 0, 0], [0, 0.3, 0], [0, 0.9, 1]]),
        np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]),
    )
    sampler = FrameSampler((50, 50), "border", 0, margin=0.2)
    tight = FrameSampler((50, 50), "border", 0)
    for one, other in zip(
        sampler.rectified(frame, steep, corners), tight.rectified(frame, steep, corners), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_where_nothing_is_found_the_image_is_the_frame(make_model: MakeModel, frame: np.ndarray) -> None:
    with Rectifier(make_model((0.01, 0, 0, 0, 0.01, 0, 0, 0)), margin=0.2) as rectifier:
        np.testing.assert_array_equal(rectifier.rectify(frame).image, frame)


@pytest.mark.parametrize("margin", [-0.1, 5, float("nan"), "0.1", None, True, [0.1]])
def test_a_margin_that_cannot_be_is_named(make_model: MakeModel, margin: object) -> None:
    with pytest.raises(UsageError, match=r"margin is .*0 to 4"):
        Rectifier(make_model(), margin=margin)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        pytest.param(
            {"in_graph": True}, {"output": "model"}, "margin needs output='frame'", id="the graph's own image"
        ),
        pytest.param({"theta": TPS}, {}, "follows the bend", id="a spline"),
    ],
)
def test_models_and_outputs_without_a_margin(
    make_model: MakeModel, model: dict[str, object], options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        Rectifier(make_model(**model), margin=0.1, **options)
    Rectifier(make_model(**model), margin=0.0, **options).close()


def test_numbers_of_numpy_are_numbers(make_model: MakeModel, frame: np.ndarray) -> None:
    size = np.array([64, 48])
    with Rectifier(make_model(), threads=np.int32(1), output_size=size, refine=np.int8(0)) as rectifier:  # type: ignore[arg-type]
        assert rectifier.rectify(frame).image.shape == (48, 64, 3)
        assert type(rectifier.threads) is int


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("threads", 0),
        ("threads", "2"),
        ("threads", 1.5),
        ("threads", True),
        ("output", 3),
        ("output_size", 320),
        ("output_size", (320.5, 240)),
        ("output_size", ("320", "240")),
        ("output_size", (320, 240, 3)),
        ("refine", 1.0),
        ("refine", "1"),
    ],
)
def test_what_is_no_such_number_is_named(make_model: MakeModel, argument: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"^{argument} is "):
        Rectifier(make_model(), **{argument: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("320x", (320, 0)),
        ("x240", (0, 240)),
        ("320X240", (320, 240)),
        (320, (320, 0)),
        ("99999x", (320, 240)),
        ("", (320, 240)),
    ],
)
def test_a_size_that_is_written_otherwise_is_told_as_the_pair_that_it_means(
    given: object, meant: tuple[int, int]
) -> None:
    with pytest.raises(UsageError, match=re.escape(f"width and height, such as {meant};")):
        checked_size("output_size", given)
