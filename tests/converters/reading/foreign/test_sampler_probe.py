"""Samplers as black boxes, in NumPy: where they read, and what they make of places outside the frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stn_rectify.converters.reading.foreign.borders import find_border
from stn_rectify.converters.reading.foreign.convention import convention_name, fold
from stn_rectify.converters.reading.foreign.coordinates import SamplerProbe
from stn_rectify.runtime.errors import ModelFileError
from stn_rectify.runtime.geometry import pixel_matrix_map

SIZE, OUTPUT = (40, 48), (14, 18)
MODES = {"zeros": cv2.BORDER_CONSTANT, "border": cv2.BORDER_REPLICATE, "mirrored": cv2.BORDER_REFLECT_101}
CENTRE = np.array([0.7, 0.1, 0.05, -0.1, 0.8, 0.02])


def matrix_of(theta):
    """Ours: θ to pixels."""
    K, k = pixel_matrix_map(6, SIZE, OUTPUT)
    return (K @ theta + k).reshape(3, 3)[:2]


def sampler(pixel_matrix, border="zeros", channels=2, flags=cv2.INTER_LINEAR):
    """A sampler by OpenCV's float32 remap, a program of its own."""

    def sample(frames, thetas):
        j, i = np.meshgrid(np.arange(OUTPUT[1]), np.arange(OUTPUT[0]))
        images = []
        for frame, theta in zip(frames, np.asarray(thetas, np.float64), strict=True):
            x, y, *depth = np.moveaxis(np.stack([j, i, np.ones_like(j)], -1) @ pixel_matrix(theta).T, -1, 0)
            x, y = (x / depth[0], y / depth[0]) if depth else (x, y)
            mode = MODES.get(border, cv2.BORDER_CONSTANT)
            images.append(exact_remap(frame, x, y, mode, flags).reshape(*OUTPUT, channels))
        return np.stack(images)

    return sample


def exact_remap(frame, x, y, mode, flags):
    """``cv2.remap`` rounds places to 1/32 px: the four neighbours are read by it, and weighted here."""
    left, top = np.floor(x), np.floor(y)
    fx, fy = (x - left)[..., None], (y - top)[..., None]
    if flags != cv2.INTER_LINEAR:
        fx, fy = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy)

    def read(column, row):
        pixels = cv2.remap(frame, column.astype(np.float32), row.astype(np.float32), cv2.INTER_NEAREST, borderMode=mode)
        return pixels.reshape(*x.shape, -1).astype(np.float64)

    upper = read(left, top) * (1 - fx) + read(left + 1, top) * fx
    lower = read(left, top + 1) * (1 - fx) + read(left + 1, top + 1) * fx
    return upper * (1 - fy) + lower * fy


def probe_of(pixel_matrix, theta=CENTRE, **options):
    return SamplerProbe("theirs", sampler(pixel_matrix, **options), (*SIZE, 2), theta)


def aligned(theta):
    """±1 are the centres of the outermost pixels, in the frame and in the image."""
    a = theta.reshape(2, 3)
    lattice = np.array([[2 / (OUTPUT[1] - 1), 0, -1], [0, 2 / (OUTPUT[0] - 1), -1], [0, 0, 1]])
    to_frame = np.array([[(SIZE[1] - 1) / 2, 0, (SIZE[1] - 1) / 2], [0, (SIZE[0] - 1) / 2, (SIZE[0] - 1) / 2]])
    return to_frame @ np.vstack([a @ lattice, [0, 0, 1]])


def in_pixels(theta):
    """A convention of nobody's: scale, and a shift in pixels."""
    return np.array([[theta[0], 0, 10 * theta[1]], [0, theta[0], 10 * theta[2]]])


@pytest.mark.parametrize(
    ("pixel_matrix", "theta", "name"),
    [
        (matrix_of, CENTRE, "normalised from edge to edge (align_corners=False)"),
        (aligned, CENTRE, "corners aligned (align_corners=True)"),
        (in_pixels, np.array([1.8, 0.4, 0.5]), "a linear function of its own"),
    ],
    ids=["ours", "aligned", "in pixels"],
)
def test_the_places_of_a_sampler_are_measured_and_folded(pixel_matrix, theta, name):
    found = probe_of(pixel_matrix, theta).pose_map()
    assert found.residual_px < 1e-4
    assert name in convention_name(found, SIZE, OUTPUT)
    B, b = fold(found, SIZE, OUTPUT)
    for seed in range(5):
        pose = theta + np.random.default_rng(seed).normal(0, 0.1, len(theta))
        np.testing.assert_allclose(matrix_of(B @ pose + b), pixel_matrix(pose), atol=2e-4)
        np.testing.assert_allclose(found.matrix(pose), pixel_matrix(pose), atol=2e-4)


def tilted(theta):
    """Projective, corners aligned: H[2, 2] is 1 in these coordinates, too."""
    lattice = np.array([[2 / (OUTPUT[1] - 1), 0, -1], [0, 2 / (OUTPUT[0] - 1), -1], [0, 0, 1]])
    half_x, half_y = (SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2
    return np.array([[half_x, 0, half_x], [0, half_y, half_y], [0, 0, 1]]) @ np.append(theta, 1).reshape(3, 3) @ lattice


def tilted_in_pixels(theta):
    """Projective, about the first pixel instead of the middle."""
    return np.append(theta * [1, 1, 10, 1, 1, 10, 0.01, 0.01], 1).reshape(3, 3)


TILT = np.array([0.7, 0.1, 0.05, -0.1, 0.8, 0.02, 0.1, -0.15])


@pytest.mark.parametrize("border", ["zeros", "border", "mirrored"])
def test_a_projective_sampler_is_folded_and_its_border_named(border):
    probe = probe_of(tilted, TILT, border=border)
    found = probe.pose_map()
    assert (found.transform, found.residual_px < 1e-3) == ("projective", True)
    B, b = fold(found, SIZE, OUTPUT)
    K, k = pixel_matrix_map(8, SIZE, OUTPUT)
    for seed in range(5):
        pose = TILT + np.random.default_rng(seed).normal(0, 0.05, 8)
        ours, theirs = (K @ (B @ pose + b) + k).reshape(3, 3), tilted(pose)
        np.testing.assert_allclose(ours / ours[2, 2], theirs / theirs[2, 2], atol=2e-3)
    named = find_border(probe, found)
    assert (named.name, named.exact) == (border, border != "mirrored")


def test_a_projective_sampler_about_the_first_pixel_is_not_linear_in_ours():
    theta = np.array([1.8, 0.1, 0.3, -0.1, 1.7, 0.4, 0.5, -0.3])
    found = probe_of(tilted_in_pixels, theta).pose_map()
    assert found.transform == "projective"
    assert fold(found, SIZE, OUTPUT) is None


@pytest.mark.parametrize("border", ["zeros", "border", "mirrored"])
def test_a_border_is_named(border):
    probe = probe_of(aligned, border=border)
    found = find_border(probe, probe.pose_map())
    assert (found.name, found.exact) == (border, border != "mirrored")
    assert (found.differs > 0) == (border == "mirrored")


def test_places_that_are_mirrored_do_not_bend_the_map():
    """Mirrored places lie inside the frame; the fit must not take them for what θ says."""
    wide = np.array([1.5, 0.1, 0.3, -0.1, 1.4, 0.2])
    found = probe_of(aligned, wide, border="mirrored").pose_map()
    np.testing.assert_allclose(found.matrix(wide), aligned(wide), atol=2e-4)


def test_a_sampler_that_is_not_linear_in_theta_is_none():
    def turned(theta):
        c, s = np.cos(3 * theta[0]), np.sin(3 * theta[0])
        return aligned(np.array([c, -s, theta[1], s, c, theta[2]]) * 0.6)

    assert probe_of(turned, np.array([0.3, 0.0, 0.1])).pose_map() is None


def _inverted(frames, thetas):
    return 1 - sampler(aligned)(frames, thetas)


def _of_nothing(frames, thetas):
    return np.zeros((len(frames), *OUTPUT, 2))


def _nearest(frames, thetas):
    return sampler(lambda theta: np.array([[2.0, 0, 3], [0, 2, 4 + round(10 * theta[0])]]))(frames, thetas)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (_inverted, "shows nothing of the frame|does not read the frame itself"),
        (_of_nothing, "shows nothing of the frame"),
        (_nearest, "reads the nearest pixel"),
    ],
)
def test_what_is_no_bilinear_sampler_is_refused(sample, message):
    with pytest.raises(ModelFileError, match=message):
        SamplerProbe("theirs", sample, (*SIZE, 2), CENTRE).pose_map()


def test_a_smoother_curve_between_pixels_is_refused():
    probe = probe_of(aligned)
    found = probe.pose_map()
    smooth = probe_of(aligned, flags=cv2.INTER_CUBIC)
    with pytest.raises(ModelFileError, match="not bilinearly: it is off by up to"):
        find_border(smooth, found)


def test_a_sampler_of_one_frame_at_a_time_is_asked_one_at_a_time():
    counts = []

    def sample(frames, thetas):
        counts.append(len(frames))
        return sampler(aligned)(frames, thetas)

    assert SamplerProbe("theirs", sample, (*SIZE, 2), CENTRE, batch=1).pose_map() is not None
    assert set(counts) == {1}
