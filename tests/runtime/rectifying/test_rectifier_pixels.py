"""Corners and pixels of the rectified image: those the contract's words give, whichever way they are sampled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import DataError, Rectifier
from stn_rectify.runtime.geometry import identity_theta, theta_to_corners, transform_points, true_aspect
from stn_rectify.runtime.rectifying.pixels.frame_sampler import FrameSampler

THETA = (0.6, -0.2, 0.1, 0.25, 0.7, -0.05, 0.1, -0.08)
IDENTITY = (1.0, 0, 0, 0, 1, 0, 0, 0)
SLIGHTLY_SMALLER = (0.7, 0, 0, 0, 0.7, 0, 0, 0)  # of a target that fills a crop but for its margin of 0.2
HALF_TURN = (-1.0, 0, 0, 0, -1, 0, 0, 0)

MakeModel = Callable[..., Path]


def point_by_hand(theta: tuple[float, ...], x: float, y: float, width: int, height: int) -> tuple[float, float]:
    """Maps one normalised output point to frame pixels, straight from the contract's words."""
    a, b, c, d, e, f, g, h = (*theta, 0.0, 0.0)[:8]
    w = g * x + h * y + 1
    u, v = (a * x + b * y + c) / w, (d * x + e * y + f) / w
    return (u + 1) / 2 * width - 0.5, (v + 1) / 2 * height - 0.5


def corners_by_hand(theta: tuple[float, ...], width: int, height: int) -> np.ndarray:
    corners = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return np.array([point_by_hand(theta, x, y, width, height) for x, y in corners])


def warp_by_hand(frame: np.ndarray, theta: tuple[float, ...], width: int, height: int) -> np.ndarray:
    """Bilinear sampling pixel by pixel, zeros outside."""
    padded = np.pad(frame.astype(float), ((1, 1), (1, 1), (0, 0)))
    warped = np.zeros((height, width, frame.shape[2]))
    for j in range(height):
        for i in range(width):
            x, y = point_by_hand(
                theta,
                (2 * i + 1) / width - 1,
                (2 * j + 1) / height - 1,
                frame.shape[1],
                frame.shape[0],
            )
            x, y = np.clip(x, -1, frame.shape[1]), np.clip(y, -1, frame.shape[0])
            left, top = min(int(np.floor(x)), frame.shape[1] - 1), min(int(np.floor(y)), frame.shape[0] - 1)
            fx, fy = x - left, y - top
            block = padded[top + 1 : top + 3, left + 1 : left + 3]
            warped[j, i] = np.array([1 - fy, fy]) @ np.einsum("yxc,x->yc", block, [1 - fx, fx])
    return warped


@pytest.mark.parametrize("theta", [pytest.param(THETA, id="projective"), pytest.param(THETA[:6], id="affine")])
def test_corners_follow_the_contract(make_model: MakeModel, frame: np.ndarray, theta: tuple[float, ...]) -> None:
    with Rectifier(make_model(theta)) as rectifier:
        result = rectifier.rectify(frame)
    np.testing.assert_allclose(result.corners, corners_by_hand(theta, 320, 240), atol=0.01)
    assert result.corners.dtype == np.float64
    assert result.latency_ms > 0


def test_homography_maps_image_pixels_to_frame_pixels(make_model: MakeModel, frame: np.ndarray) -> None:
    with Rectifier(make_model(), output_size=(80, 50)) as rectifier:
        result = rectifier.rectify(frame)
    assert result.image.shape == (50, 80, 3)
    for i, j in ((0, 0), (79, 0), (40, 25), (3, 49)):
        expected = point_by_hand(THETA, (2 * i + 1) / 80 - 1, (2 * j + 1) / 50 - 1, 320, 240)
        x, y, w = result.homography @ [i, j, 1]
        np.testing.assert_allclose((x / w, y / w), expected, atol=0.01)
    assert result.homography[2, 2] == 1


@pytest.mark.parametrize(("asked", "expected"), [((60, 0), (60, 45)), ((0, 90), (120, 90)), ((7, 0), (7, 5))])
def test_a_side_of_zero_keeps_the_targets_aspect(
    make_model: MakeModel, frame: np.ndarray, asked: tuple[int, int], expected: tuple[int, int]
) -> None:
    with Rectifier(make_model(IDENTITY), output_size=asked) as rectifier:  # the frame is 320×240
        result = rectifier.rectify(frame)
    assert result.image.shape[1::-1] == expected
    corners = cv2.perspectiveTransform(
        np.array([[[-0.5, -0.5], [expected[0] - 0.5, expected[1] - 0.5]]]), result.homography
    )
    np.testing.assert_allclose(corners[0], result.corners[[0, 2]], atol=1e-6)


def test_pixels_of_the_frame_agree_with_sampling_by_hand(make_model: MakeModel, frame: np.ndarray) -> None:
    with Rectifier(make_model(), output_size=(60, 40)) as rectifier:
        image = rectifier.rectify(frame).image
    difference = np.abs(image - warp_by_hand(frame, THETA, 60, 40))
    # OpenCV rounds coordinates to 1/32 px: 1 level where the frame is smooth, more at the black block's edge.
    assert np.percentile(difference, 98) <= 1
    assert difference.max() <= 10


def test_own_size_keeps_the_targets_resolution(make_model: MakeModel, frame: np.ndarray) -> None:
    with Rectifier(make_model()) as rectifier:
        result = rectifier.rectify(frame)
    top, right, bottom, left = np.linalg.norm(np.roll(result.corners, -1, axis=0) - result.corners, axis=1)
    height, width, _ = result.image.shape
    assert height >= round(max(left, right))
    assert width >= round(max(top, bottom))
    aspect = true_aspect(result.corners, (frame.shape[1], frame.shape[0]))
    assert aspect is not None
    assert width / height == pytest.approx(aspect, rel=0.01)


def test_own_size_is_bounded_by_twice_the_frame(make_model: MakeModel) -> None:
    with Rectifier(make_model((9.0, 0, 0, 0, 3, 0, 0, 0))) as rectifier:
        assert rectifier.rectify(np.zeros((60, 80, 3), np.uint8)).image.shape == (40, 160, 3)


@pytest.mark.parametrize("shape", [(240, 320, 3), (240, 320), (37, 61, 3), (1080, 1920, 3)])
def test_identity_theta_returns_the_frame_bit_for_bit(make_model: MakeModel, shape: tuple[int, ...]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    noise[-shape[0] // 2 :, -shape[1] // 2 :] = 0
    with Rectifier(make_model(IDENTITY)) as rectifier:
        result = rectifier.rectify(noise)
    np.testing.assert_array_equal(result.image, noise)
    np.testing.assert_allclose(result.homography, np.eye(3), atol=1e-9)


def test_graph_and_opencv_give_the_same_pixels(make_model: MakeModel) -> None:
    noise = np.random.default_rng(2).integers(0, 256, (32, 48, 3), np.uint8)
    noise[-1, -1] = 0
    path = make_model(HALF_TURN, in_graph=True)
    with Rectifier(path, output="model") as graph, Rectifier(path, output_size=(48, 32)) as opencv:
        by_graph, by_opencv = graph.rectify(noise), opencv.rectify(noise)
    np.testing.assert_array_equal(by_graph.image, noise[::-1, ::-1])
    np.testing.assert_array_equal(by_opencv.image, by_graph.image)
    np.testing.assert_array_equal(by_opencv.corners, by_graph.corners)
    np.testing.assert_allclose(by_opencv.homography, by_graph.homography)


def test_in_graph_and_pose_only_files_give_the_same_geometry(make_model: MakeModel, frame: np.ndarray) -> None:
    with Rectifier(make_model(HALF_TURN, in_graph=True)) as first, Rectifier(make_model(HALF_TURN)) as second:
        a, b = first.rectify(frame), second.rectify(frame)
    np.testing.assert_array_equal(a.corners, b.corners)
    np.testing.assert_array_equal(a.image, b.image)


def test_a_signed_value_range_gives_the_graphs_pixels_back(make_model: MakeModel) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (32, 48, 3), np.uint8)
    path = make_model(HALF_TURN, in_graph=True, value_range=(-1.0, 1.0))
    with Rectifier(path, output="model") as rectifier:
        np.testing.assert_array_equal(rectifier.rectify(noise).image, noise[::-1, ::-1])


@pytest.mark.parametrize("in_graph", [pytest.param(True, id="in-graph"), pytest.param(False, id="pose-only")])
def test_padding_border_repeats_the_edge(make_model: MakeModel, in_graph: bool) -> None:
    """The frame fills the middle half of the image; around it, border has the frame's nearest pixel."""
    theta = (2.0, 0, 0, 0, 2, 0, 0, 0)
    noise = np.random.default_rng(4).integers(1, 256, (60, 80, 3), np.uint8)
    noise[-20:, -20:] = 0
    images = {}
    for padding in ("zeros", "border"):
        with Rectifier(make_model(theta, in_graph=in_graph, padding=padding), output_size=(160, 120)) as rectifier:
            images[padding] = rectifier.rectify(noise).image
    np.testing.assert_array_equal(images["zeros"], np.pad(noise, ((30, 30), (40, 40), (0, 0))))
    np.testing.assert_array_equal(images["border"], np.pad(noise, ((30, 30), (40, 40), (0, 0)), mode="edge"))


@pytest.mark.parametrize("transform", ["affine", "projective", "tps"])
def test_padding_cut_ends_at_the_centre_of_the_last_pixel(transform: str) -> None:
    """Shifted by half a pixel: what lies beyond the last pixel's centre is blank, and nothing fades before it."""
    noise = np.random.default_rng(4).integers(1, 256, (60, 80, 3), np.uint8)
    identity = identity_theta(transform)
    shift = np.tile([1 / 80, 0], 16) if transform == "tps" else np.where(np.arange(len(identity)) == 2, 1 / 80, 0)
    images = {}
    for padding in ("border", "cut"):
        theta = identity + shift
        images[padding], _ = FrameSampler((80, 60), padding, 7).rectified(noise, theta, theta_to_corners(theta, 80, 60))
    assert (images["cut"][:, -1] == 7).all()
    assert (images["cut"][-1] == 7).all()
    np.testing.assert_array_equal(images["cut"][:-1, :-1], images["border"][:-1, :-1])
    whole, _ = FrameSampler((80, 60), "cut", 7).rectified(noise, identity, theta_to_corners(identity, 80, 60))
    np.testing.assert_array_equal(whole[:-1, :-1], noise[:-1, :-1])
    assert (whole[-1] == 7).all()


@pytest.mark.parametrize("transform", ["projective", "tps"])
@pytest.mark.parametrize(("pixels", "first", "last"), [(-1 / 256, 7, 90), (-1 / 1024, 90, 90), (-3 / 1024, 7, 90)])
def test_padding_cut_knows_places_to_a_256th_of_a_pixel_as_a_file_does(
    transform: str, pixels: float, first: int, last: int
) -> None:
    """What is before the first centre by less than half a step counts as on it; the last column ends before its own."""
    shift = np.tile([2 * pixels / 80, 0], 16) if transform == "tps" else np.eye(1, 8, 2)[0] * 2 * pixels / 80
    theta = identity_theta(transform) + shift
    frame = np.full((60, 80), 90, np.uint8)
    image, _ = FrameSampler((80, 60), "cut", 7).rectified(frame, theta, theta_to_corners(theta, 80, 60))
    assert (image[0, 0], image[0, -2]) == (first, last)
    assert image[0, -1] == (90 if pixels <= -1 / 512 else 7)


def test_outside_the_frame_is_what_is_zero_to_the_network(make_model, frame):
    """With values from -1 to 1 that is mid-grey, as the graph's own sampler has it; not black."""
    far = (3.0, 0, 0, 0, 3.0, 0)
    with Rectifier(make_model(far, value_range=(-1.0, 1.0)), output_size=(60, 50)) as rectifier:
        assert (np.abs(rectifier.rectify(frame).image[0, 0].astype(int) - 127.5) <= 1).all()
    with Rectifier(make_model(far), output_size=(60, 50)) as rectifier:
        assert (rectifier.rectify(frame).image[0, 0] == 0).all()


def same(a, b) -> bool:
    """All but the time."""
    arrays = [(a.image, b.image), (a.corners, b.corners), (a.homography, b.homography)]
    return all(map(np.array_equal, *zip(*arrays, strict=True))) and (a.score, a.label) == (b.score, b.label)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        pytest.param({}, {}, id="pose-only"),
        pytest.param({"theta": HALF_TURN, "in_graph": True}, {"output": "model"}, id="the graph's own image"),
        pytest.param({"theta": tuple(0.5 * identity_theta("tps"))}, {"output_size": (50, 40)}, id="tps"),
        pytest.param({"theta": (0.0, 0, 0, 0, 0, 0)}, {}, id="no usable pose"),
        pytest.param({"refine": {"theta": SLIGHTLY_SMALLER}}, {}, id="refined"),
    ],
)
def test_locating_and_sampling_is_rectifying(make_model, frame, model, options):
    with Rectifier(make_model(**model), **options) as rectifier:
        whole = rectifier.rectify(frame)
        location = rectifier.locate(frame)
        assert same(rectifier.sample(frame, location), whole)
    np.testing.assert_array_equal(location.corners, whole.corners)
    assert location.score == whole.score


def test_sampling_elsewhere_is_as_if_the_target_had_been_found_there(make_model, frame):
    elsewhere = np.add(corners_by_hand(THETA, 320, 240), (3.5, -2.25))
    with Rectifier(make_model()) as rectifier:
        location = rectifier.locate(frame)
        moved = rectifier.sample(frame, location, corners=elsewhere.tolist())
        with pytest.raises(DataError, match="no quadrilateral"):
            rectifier.sample(frame, location, corners=elsewhere[::-1])
    np.testing.assert_array_equal(moved.corners, elsewhere)
    height, width = moved.image.shape[:2]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    np.testing.assert_array_equal(
        moved.image, cv2.warpPerspective(frame, moved.homography, (width, height), flags=flags)
    )
    outline = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]])
    np.testing.assert_allclose(transform_points(moved.homography, outline), elsewhere, atol=1e-9)


def test_a_frame_is_found_the_same_whatever_came_before(make_model, frame):
    """Its halves lie where those of the last frame lay."""
    path = make_model(refine={"theta": SLIGHTLY_SMALLER})
    others = (255 - frame, cv2.resize(frame, (641, 359)), frame[..., 0])
    with Rectifier(path) as used, Rectifier(path) as fresh:
        for other in others:
            used.rectify(other)
        assert same(used.rectify(frame), fresh.rectify(frame))
