"""The coordinate contract, and what follows from it."""

from __future__ import annotations

import numpy as np
import pytest

from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import (
    UNIT_CORNERS,
    corner_error,
    corners_to_homography,
    homography_to_corners,
    homography_to_theta,
    identity_theta,
    is_valid_quadrilateral,
    map_unit_corners,
    normalised_to_pixels,
    pixel_homography,
    pixel_matrix_map,
    pixels_to_normalised,
    theta_to_corners,
    theta_to_homography,
    transform_points,
    true_aspect,
    upright_size,
)

SLANTED = np.array([[72.1, 72.1], [295.7, 56.1], [595.9, 362.8], [405.4, 449.6]])
SQUARE = np.array([[0.0, 0], [10, 0], [10, 10], [0, 10]])
THETA = np.array((0.6, -0.2, 0.1, 0.25, 0.7, -0.05, 0.1, -0.08))


@pytest.mark.parametrize("transform", ["affine", "projective", "tps"])
def test_the_identity_reaches_from_the_outer_edge_of_the_first_pixel_to_that_of_the_last(transform: str) -> None:
    corners = theta_to_corners(identity_theta(transform), 640, 480)
    np.testing.assert_allclose(corners, [[-0.5, -0.5], [639.5, -0.5], [639.5, 479.5], [-0.5, 479.5]], atol=1e-9)


def test_pixels_and_normalised_coordinates_are_inverse() -> None:
    np.testing.assert_allclose(normalised_to_pixels(64, 48) @ pixels_to_normalised(64, 48), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(
        transform_points(pixels_to_normalised(4, 2), [[0, 0], [3, 1]]), [[-0.75, -0.5], [0.75, 0.5]]
    )


def test_corners_and_homography_are_inverse() -> None:
    homography = corners_to_homography(SLANTED, 640, 480)
    assert homography[2, 2] == 1
    np.testing.assert_allclose(homography_to_corners(homography, 640, 480), SLANTED, atol=1e-9)
    np.testing.assert_allclose(theta_to_corners(homography_to_theta(homography), 640, 480), SLANTED, atol=1e-9)


def test_many_poses_at_once_are_those_one_by_one() -> None:
    thetas = THETA * np.linspace(0.5, 1, 5)[:, None]
    together = theta_to_corners(thetas, 320, 240)
    assert together.shape == (5, 4, 2)
    np.testing.assert_allclose(together, [theta_to_corners(theta, 320, 240) for theta in thetas], atol=1e-12)


def test_unit_corners_are_mapped_as_any_points() -> None:
    matrix = theta_to_homography(THETA)
    np.testing.assert_array_equal(map_unit_corners(matrix), transform_points(matrix, UNIT_CORNERS))
    vanishing = np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 1]])  # the left corners lie at infinity
    assert not np.isfinite(map_unit_corners(vanishing)[0]).any()


@pytest.mark.parametrize("size", [6, 8])
def test_the_pixel_matrix_is_affine_in_theta(size: int) -> None:
    slope, start = pixel_matrix_map(size, (48, 64), (20, 30))
    expected = pixel_homography(THETA[:size], (64, 48), (30, 20))
    np.testing.assert_allclose((slope @ THETA[:size] + start).reshape(3, 3), expected, atol=1e-12)


@pytest.mark.parametrize("theta", [np.zeros(7), 1.0])
def test_theta_of_another_length_is_refused(theta: object) -> None:
    with pytest.raises(DataError, match="expected 6"):
        theta_to_homography(theta)


@pytest.mark.parametrize(
    ("corners", "message"),
    [
        (SQUARE[:3], "four finite points"),
        (SQUARE * np.nan, "four finite points"),
        ([[0, 0], [5, 5], [10, 10], [0, 10]], "lie on one line"),
        (SQUARE * 0, "lie on one line"),
    ],
)
def test_corners_that_no_homography_has_are_refused(corners: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        corners_to_homography(corners, 640, 480)


@pytest.mark.parametrize(
    ("corners", "is_valid"),
    [
        pytest.param(SQUARE, True, id="square"),
        pytest.param(SLANTED, True, id="slanted"),
        pytest.param(np.roll(SQUARE, 1, axis=0), True, id="turned"),
        pytest.param(SQUARE * 0.39, False, id="15 square pixels"),
        pytest.param(SQUARE[::-1], False, id="mirrored"),
        pytest.param(SQUARE[[0, 2, 1, 3]], False, id="crossed"),
        pytest.param(SQUARE[:3], False, id="three corners"),
        pytest.param(SQUARE * 1e200, False, id="an area beyond float64"),
    ],
)
def test_which_quadrilaterals_are_valid(corners: object, is_valid: bool) -> None:
    assert is_valid_quadrilateral(corners) is is_valid


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("third", [(30, 30), (50, 50)], ids=["concave", "three on a line"])
def test_each_corner_must_turn_clockwise(third: tuple[int, int], place: int) -> None:
    corners = np.array([[0.0, 0], [100, 0], third, [0, 100]])
    assert not is_valid_quadrilateral(np.roll(corners, place, axis=0))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", range(8))
def test_a_corner_that_is_not_finite_is_no_quadrilateral(value: float, place: int) -> None:
    corners = SQUARE.copy()
    corners.flat[place] = value
    assert not is_valid_quadrilateral(corners)


def test_the_corner_error_is_a_share_of_the_true_diagonal() -> None:
    assert corner_error(SQUARE + np.array([3, 4]), SQUARE) == pytest.approx(5 / np.hypot(10, 10))
    np.testing.assert_allclose(corner_error([SQUARE, SQUARE + 1], [SQUARE, SQUARE]), [0, 0.1])


@pytest.mark.parametrize(
    ("corners", "limit", "size"),
    [
        (SQUARE * [20, 10], 4096, (200, 100)),
        ([[0, 0], [30, 0], [50, 40], [0, 40]], 4096, (50, 45)),
        (SQUARE * [20, 10], 50, (50, 25)),
        (SQUARE * 0, 4096, (1, 1)),
    ],
    ids=["rectangle", "the longer of two sides", "limited", "a point"],
)
def test_the_upright_size_keeps_the_resolution(corners: object, limit: int, size: tuple[int, int]) -> None:
    assert upright_size(corners, limit) == size


def seen(
    size: tuple[float, float],
    tilt: float,
    turn: float,
    offset: tuple[float, float],
    focal: float,
    distance: float = 2.5,
) -> np.ndarray:
    """A rectangle, tilted about a line and turned, by a pinhole camera in the middle of a frame of 640×480."""
    flat = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.array(size) / 2
    c, s = np.cos(turn), np.sin(turn)
    x, y = (flat @ np.array([[c, s], [-s, c]])).T
    depth = distance + y * np.sin(tilt)
    points = np.stack([(x + offset[0]) / depth, (y * np.cos(tilt) + offset[1]) / depth], axis=1)
    return points * focal + np.array([319.5, 239.5])


@pytest.mark.parametrize("tilt", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("turn", [0.0, 0.3, 1.5])
@pytest.mark.parametrize(("width", "height"), [(2, 1), (1, 2.5), (1, 1)])
def test_the_aspect_is_that_of_the_target_however_it_is_tilted(
    tilt: float, turn: float, width: float, height: float
) -> None:
    corners = seen((width, height), tilt, turn, (0.4, -0.3), 640)
    assert true_aspect(corners, (640, 480)) == pytest.approx(width / height)
    other_lens = true_aspect(seen((width, height), tilt, turn, (0.4, -0.3), 560), (640, 480))
    assert other_lens == pytest.approx(width / height, rel=0.25)
    size = upright_size(corners, frame_size=(640, 480))
    kept = upright_size(corners)
    assert size[0] >= kept[0]
    assert size[1] >= kept[1]
    assert size[0] / size[1] == pytest.approx(width / height, rel=0.03)


def test_a_small_target_keeps_the_aspect_in_which_it_is_seen() -> None:
    corners = seen((1, 0.25), 1.0, 0.0, (0, 0), 640, 5)
    width, height = np.ptp(corners, axis=0)
    assert true_aspect(corners, (640, 480)) == pytest.approx(width / height, rel=0.1)
    assert width / height > 6  # of 4


def test_what_is_no_view_of_a_rectangle_has_no_aspect() -> None:
    assert true_aspect(SQUARE * 0, (640, 480)) is None
    nearly_flat = np.array([[0, 0], [300, 1], [310, 3], [10, 200]], float)
    assert upright_size(nearly_flat, frame_size=(640, 480)) >= (1, 1)
