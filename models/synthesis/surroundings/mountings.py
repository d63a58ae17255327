"""Things that the target is mounted on or lies on: vehicle fronts, panels, holders, mats, with nested rectangles."""

from __future__ import annotations

import cv2
import numpy as np

from stn_rectify.models.synthesis.drawing.colours import any_colour, dark, light, muted, scaled
from stn_rectify.models.synthesis.drawing.images import Colour, Points, shaded
from stn_rectify.models.synthesis.material.bank import Bank
from stn_rectify.models.synthesis.material.vehicles import PLATE_PLACE
from stn_rectify.models.synthesis.photography.pasting import plane_points
from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.geometry import is_valid_quadrilateral


def draw_vehicle(rng: np.random.Generator, frame: Image, corners: Points, bank: Bank) -> Image:
    """A frame filled with a vehicle front whose plate's place is under ``corners``, nearly."""
    front = bank.vehicle_fronts[int(rng.integers(len(bank.vehicle_fronts)))]
    place = PLATE_PLACE - PLATE_PLACE.mean(axis=0)
    place = place * rng.uniform(0.85, 1.25, 2) + PLATE_PLACE.mean(axis=0) + rng.normal(0, 4, 2)
    # The best affine fit, not the plate's homography: its vanishing line could cross the frame.
    on_front = np.concatenate([place, np.ones((4, 1))], axis=1)
    fit = np.linalg.lstsq(on_front, corners, rcond=None)[0].T
    size = (frame.shape[1], frame.shape[0])
    warped = cv2.warpAffine(front, fit, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    gains = np.exp(rng.normal(0, 0.25) + rng.normal(0, 0.1, 3))
    return np.asarray(cv2.multiply(np.asarray(warped, np.uint8), np.array([*gains, 0.0])), np.uint8)


def draw_panels(rng: np.random.Generator, frame: Image, corners: Points) -> Image:
    """One to three nested rectangles around the target in its plane, with bars, rims and screws."""
    margin = rng.uniform(0.12, 0.9, 2)
    panels = []
    for _ in range(int(rng.integers(1, 4))):
        panels.append(_expanded(rng, corners, margin))
        margin = margin + rng.uniform(0.05, 0.5, 2)
    for panel in reversed(panels):
        if is_valid_quadrilateral(panel):
            frame = _draw_panel(rng, frame, panel)
    return frame


def draw_holder(rng: np.random.Generator, frame: Image, corners: Points) -> None:
    """A narrow frame around the target, wider at one edge, in place."""
    margins = rng.uniform(0.02, 0.08, 4) * np.array([1.0, 3.0, 1.0, 3.0])
    margins[int(rng.choice([1, 3]))] += rng.uniform(0, 0.25)
    left, top, right, bottom = margins
    outer = np.array([[-1 - left, -1 - top], [1 + right, -1 - top], [1 + right, 1 + bottom], [-1 - left, 1 + bottom]])
    holder = plane_points(corners, outer)
    if is_valid_quadrilateral(holder):
        colour = dark(rng) if rng.random() < 0.6 else muted(rng)
        cv2.fillPoly(frame, [_fixed_point(holder)], colour, cv2.LINE_AA, 4)


def _expanded(rng: np.random.Generator, corners: Points, margin: Points) -> Points:
    """The target's rectangle grown in its plane and moved a little; margins in half sides."""
    grown = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (1 + margin)
    return plane_points(corners, grown + rng.uniform(-0.5, 0.5, 2) * margin)


def _draw_panel(rng: np.random.Generator, frame: Image, panel: Points) -> Image:
    colour = any_colour(rng) if rng.random() < 0.6 else _near(rng, frame, panel)
    cv2.fillPoly(frame, [_fixed_point(panel)], colour, cv2.LINE_AA, 4)
    if rng.random() < 0.4:
        rim = light(rng) if rng.random() < 0.4 else dark(rng)
        cv2.polylines(frame, [_fixed_point(panel)], True, rim, int(rng.integers(1, 4)), cv2.LINE_AA, 4)
    if rng.random() < 0.3:
        _draw_bars(rng, frame, panel)
    if rng.random() < 0.3:
        for screw in plane_points(panel, np.array([[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]])):
            cv2.circle(frame, np.round(screw).astype(int).tolist(), int(rng.integers(1, 5)), scaled(colour, 0.5), -1)
    return shaded(rng, frame, 6) if rng.random() < 0.3 else frame


def _draw_bars(rng: np.random.Generator, frame: Image, panel: Points) -> None:
    """A grille: parallel lines across the panel, one way or the other."""
    places = np.linspace(-1, 1, int(rng.integers(4, 18)))
    ends = (
        np.stack([places, np.full_like(places, -1.0)], axis=1),
        np.stack([places, np.ones_like(places)], axis=1),
    )
    starts, stops = (end[:, ::-1] if rng.random() < 0.5 else end for end in (ends[0], ends[1]))
    colour, thickness = any_colour(rng), int(rng.integers(1, 5))
    for start, stop in zip(plane_points(panel, starts), plane_points(panel, stops), strict=True):
        cv2.line(
            frame,
            np.round(start).astype(int).tolist(),
            np.round(stop).astype(int).tolist(),
            colour,
            thickness,
        )


def _near(rng: np.random.Generator, frame: Image, panel: Points) -> Colour:
    """A shade of what is already there: the edge of such a panel is faint."""
    x, y = np.clip(panel.mean(axis=0), 0, np.array([frame.shape[1], frame.shape[0]]) - 1).astype(int)
    blue, green, red = frame[y, x].tolist()
    return scaled((blue, green, red), rng.uniform(0.5, 1.5))


def _fixed_point(points: Points) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """Pixels in 1/16, as OpenCV's drawing takes them with ``shift=4``; kept clear of its overflow."""
    return np.asarray(np.round(np.clip(points, -4000, 4000) * 16), np.int32)
