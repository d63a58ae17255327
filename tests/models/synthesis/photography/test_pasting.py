"""Targets pasted into frames: they end at their corners, turned the right way round."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stn_rectify.models.synthesis.photography.pasting import outline_mask, paste_texture, plane_points
from stn_rectify.models.synthesis.synthesiser import target_outline
from stn_rectify.models.synthesis.targets.kinds import TargetTexture
from stn_rectify.models.synthesis.targets.prints import draw_grid

TILTED = np.array([[60.3, 50.8], [251.6, 31.2], [270.9, 190.4], [41.7, 170.1]])
MAGENTA = (255, 0, 255)


@pytest.mark.parametrize("size", [(40, 30), (96, 64), (288, 200)], ids=["enlarged", "shrunk", "fine"])
def test_a_pasted_texture_ends_at_its_corners(size: tuple[int, int]):
    """The coverage of a white target on black, against the exact area of the quadrilateral in each pixel."""
    frame = np.zeros((240, 320, 3), np.uint8)
    paste_texture(frame, np.full((size[1], size[0], 3), 255, np.uint8), TILTED)
    times = 16
    fine = np.zeros((240 * times, 320 * times), np.uint8)
    cv2.fillPoly(fine, [np.round((TILTED + 0.5) * times - 0.5).astype(np.int32)], (255,))
    exact = cv2.resize(fine, (320, 240), interpolation=cv2.INTER_AREA).astype(float) / 255
    pasted = frame[..., 0] / 255
    # Half a pixel of displacement of all edges would change the area by half the perimeter: about 350 px.
    assert pasted.sum() == pytest.approx(exact.sum(), abs=40)
    for axis in (0, 1):
        across = np.arange(pasted.shape[1 - axis])
        centre = (pasted.sum(axis) * across).sum() / pasted.sum()
        assert centre == pytest.approx((exact.sum(axis) * across).sum() / exact.sum(), abs=0.1)


def test_each_corner_of_the_texture_lands_on_its_own_corner():
    """A mark in each corner of the texture is found again at the corner it belongs to."""
    texture = np.zeros((200, 288, 3), np.uint8)
    marks = {0: (slice(0, 20), slice(0, 20)), 1: (slice(0, 20), slice(268, 288)),
             2: (slice(180, 200), slice(268, 288)), 3: (slice(180, 200), slice(0, 20))}  # fmt: skip
    edges = np.array([[-0.5, -0.5], [287.5, -0.5], [287.5, 199.5], [-0.5, 199.5]], np.float32)
    exact = cv2.getPerspectiveTransform(edges, TILTED.astype(np.float32))
    for place, (rows, columns) in marks.items():
        marked, frame = texture.copy(), np.zeros((240, 320, 3), np.uint8)
        marked[rows, columns] = MAGENTA
        paste_texture(frame, marked, TILTED)
        y, x = np.nonzero(frame[..., 0] > 127)
        middle = np.array([[[(columns.start + columns.stop - 1) / 2, (rows.start + rows.stop - 1) / 2]]])
        expected = cv2.perspectiveTransform(middle, exact)[0, 0]
        assert np.abs([x.mean(), y.mean()] - expected).max() < 0.6
        distances = np.linalg.norm(TILTED - expected, axis=1)
        assert distances.argmin() == place


def test_a_texture_reaches_over_the_edge_of_the_frame():
    frame = np.zeros((240, 320, 3), np.uint8)
    paste_texture(frame, np.full((64, 96, 3), 255, np.uint8), TILTED - (150, 100))
    assert frame[0, 0, 0] == 255
    assert frame[-1, -1, 0] == 0


def test_bowed_and_rounded_outlines_keep_their_straight_extent():
    straight, _ = outline_mask(200, 100)
    rounded, pad = outline_mask(200, 100, radius=0.1)
    assert straight.min() == 255
    inner = rounded[pad:-pad, pad:-pad]
    assert inner[0, 0] == 0
    assert inner[50, 0] > 127
    assert rounded[50, pad - 2] == 0
    # Rounding takes (4 - π) r² off the area.
    assert rounded.sum() / 255 == pytest.approx(200 * 100 - (4 - np.pi) * 10**2, rel=0.01)
    bowed, pad = outline_mask(200, 100, bows=(0.02, 0.0, -0.02, 0.0))
    # Half a sine wave of height 4 above, the same below but inwards: the area stays.
    assert bowed.sum() / 255 == pytest.approx(200 * 100, rel=0.01)
    assert bowed[pad - 3, pad + 100] > 127
    assert bowed[pad + 97, pad + 100] < 128


def test_a_printed_frame_is_the_target_and_not_its_paper():
    """The border printed on the paper is found again along the labelled edges, just inside of them."""
    margins = (0.3, 0.1, 0.5, 0.2)
    image = draw_grid(np.random.default_rng(4), 200, 160, margins)
    assert image.shape == (160 + 8 + 16, 200 + 30 + 50, 3)
    target = TargetTexture("grid", image, 1.25, 0.0, is_flexible=False, margins=margins)
    frame = np.full((240, 320, 3), 128, np.uint8)
    paste_texture(frame, image, target_outline(TILTED, target))
    inside = np.array([[x, y] for t in np.linspace(-0.9, 0.9, 19) for x, y in ((t, -0.985), (t, 0.985), (-0.985, t))])
    outside = np.array([[x, y] for t in np.linspace(-0.8, 0.8, 9) for x, y in ((1.2, t), (-1.15, t))])
    border, paper = (
        np.array([frame[y, x].mean() for x, y in plane_points(TILTED, p).round().astype(int)])
        for p in (inside, outside)
    )
    assert np.median(border) < 0.6 * np.median(paper)
