"""The surroundings of a number plate: procedural vehicle fronts and rears with the plate's place in the middle."""

from __future__ import annotations

import cv2
import numpy as np

from stn_rectify.models.synthesis.drawing.colours import any_colour, contrasting, dark, light, muted, scaled
from stn_rectify.models.synthesis.drawing.images import Colour, smooth_field
from stn_rectify.models.synthesis.drawing.lettering import text_line
from stn_rectify.runtime.arrays import Image

_WIDTH, _HEIGHT = 480, 360
_PLATE_X, _PLATE_Y, _PLATE_WIDTH, _PLATE_HEIGHT = 165.0, 165.0, 150.0, 44.0

#: Corners of the plate's place on a vehicle front, [4, 2], pixels.
PLATE_PLACE = np.array([_PLATE_X, _PLATE_Y]) + np.array(
    [[0, 0], [_PLATE_WIDTH, 0], [_PLATE_WIDTH, _PLATE_HEIGHT], [0, _PLATE_HEIGHT]]
)
PLATE_PLACE.setflags(write=False)


def draw_vehicle_front(rng: np.random.Generator) -> Image:
    """A front or rear, uint8 [360, 480, 3]: bands of paint and chrome, grille, recess, emblem, lamps."""
    paint = any_colour(rng) if rng.random() < 0.6 else (light(rng) if rng.random() < 0.5 else dark(rng))
    y, x = np.mgrid[:_HEIGHT, :_WIDTH].astype(np.float32)
    bend = rng.uniform(-0.12, 0.12) * ((x - _WIDTH / 2) ** 2) / (_WIDTH / 2)
    # The bands bend away from the plate but lie straight behind it.
    height_on_body = np.clip(y + bend, 0, _HEIGHT - 1).astype(np.int32)
    image = _band_profile(rng, paint)[height_on_body]
    _cut_openings(rng, image, height_on_body)
    if rng.random() < 0.5:
        _draw_lamps(rng, image)
    if rng.random() < 0.65:
        _draw_recess(rng, image, paint)
    if rng.random() < 0.5:
        _draw_emblem(rng, image)
    if rng.random() < 0.25:
        text_line(rng, image, (rng.uniform(20, 300), rng.uniform(60, 130), 120, 14), contrasting(rng, image), 2)
    sheen = smooth_field(rng, _WIDTH, _HEIGHT, (5, 4)) * np.float32(rng.uniform(4, 22))
    grain = smooth_field(rng, _WIDTH, _HEIGHT, (120, 90)) * np.float32(rng.uniform(0, 7))
    texture = cv2.cvtColor(np.asarray(sheen + grain, np.float32), cv2.COLOR_GRAY2BGR)
    return np.asarray(cv2.add(image, texture, dtype=cv2.CV_8U), np.uint8)


def _band_profile(rng: np.random.Generator, paint: Colour) -> Image:
    """Colours from top to bottom, [360, 3]: shades of paint, chrome, rubber, gaps, and the road below."""
    profile = np.empty((_HEIGHT, 3), np.float32)
    row = 0
    while row < _HEIGHT:
        band = int(rng.uniform(12, 110))
        kind = rng.random()
        colour = scaled(paint, rng.uniform(0.4, 1.3)) if kind < 0.55 else dark(rng) if kind < 0.85 else light(rng)
        ramp = np.linspace(rng.uniform(0.75, 1.15), rng.uniform(0.75, 1.15), band, dtype=np.float32)
        profile[row : row + band] = (np.array(colour, np.float32) * ramp[:, None])[: _HEIGHT - row]
        row += band
        if rng.random() < 0.6:
            profile[row : row + int(rng.integers(2, 7))] = dark(rng) if rng.random() < 0.6 else light(rng)
    if rng.random() < 0.5:
        profile[int(rng.uniform(270, 350)) :] = muted(rng)
    smoothed = cv2.GaussianBlur(profile, (1, 0), 0.1, sigmaY=rng.uniform(0.6, 4))
    return np.clip(smoothed, 0, 255).astype(np.uint8)


def _cut_openings(
    rng: np.random.Generator, image: Image, height_on_body: np.ndarray[tuple[int, ...], np.dtype[np.int32]]
) -> None:
    """Grilles above, below or behind the plate: bars one way, the other, or a mesh."""
    x = np.arange(_WIDTH)[None, :]
    for top in rng.choice([20.0, 90.0, 150.0, 225.0], int(rng.integers(0, 3)), replace=False):
        left, depth = rng.uniform(0, 140), rng.uniform(30, 90)
        inside = (height_on_body > top) & (height_on_body < top + depth) & (x > left) & (x < _WIDTH - left)
        image[inside] = np.array(dark(rng)).astype(np.uint8)
        step, duty = int(rng.integers(6, 26)), rng.uniform(0.2, 0.6)
        vertical = np.broadcast_to(x % step < duty * step, inside.shape)
        horizontal = height_on_body % step < duty * step
        style = rng.random()
        bars = vertical if style < 0.35 else horizontal if style < 0.7 else vertical | horizontal
        image[inside & bars] = np.array(muted(rng)).astype(np.uint8)


def _draw_lamps(rng: np.random.Generator, image: Image) -> None:
    """A lamp at each side, white or red."""
    y, inset = int(rng.uniform(60, 200)), rng.uniform(0, 70)
    axes = (int(rng.uniform(25, 70)), int(rng.uniform(15, 50)))
    lean, colour = (
        rng.uniform(-30, 30),
        light(rng) if rng.random() < 0.6 else (40.0, 40.0, rng.uniform(120, 255)),
    )
    for x, angle in ((inset, lean), (_WIDTH - inset, -lean)):
        cv2.ellipse(image, (int(x), y), axes, angle, 0, 360, colour, -1, cv2.LINE_AA)
        cv2.ellipse(image, (int(x), y), axes, angle, 0, 360, dark(rng), 2, cv2.LINE_AA)
        core = (axes[0] // 2, axes[1] // 2)
        cv2.ellipse(image, (int(x), y), core, angle, 0, 360, scaled(colour, 0.7), -1, cv2.LINE_AA)


def _draw_recess(rng: np.random.Generator, image: Image, paint: Colour) -> None:
    """The hollow the plate sits in: a trapezoid somewhat larger than the plate, with a lit or shaded lip."""
    wider, above, below = rng.uniform(4, 60), rng.uniform(3, 30), rng.uniform(3, 30)
    slant = rng.uniform(-25, 25)
    margins = np.array([[-wider - slant, -above], [wider + slant, -above], [wider, below], [-wider, below]])
    outline = (PLATE_PLACE + margins).astype(np.int32)
    cv2.fillPoly(image, [outline], scaled(paint, rng.uniform(0.3, 1.0)) if rng.random() < 0.6 else dark(rng))
    lip = light(rng) if rng.random() < 0.4 else dark(rng)
    cv2.polylines(image, [outline], True, lip, int(rng.integers(1, 5)), cv2.LINE_AA)


def _draw_emblem(rng: np.random.Generator, image: Image) -> None:
    """A round badge or a bright handle bar above the plate."""
    centre = (int(_WIDTH / 2 + rng.normal(0, 6)), int(rng.uniform(70, 140)))
    axes = (int(rng.uniform(10, 32)), int(rng.uniform(8, 24)))
    if rng.random() < 0.7:
        cv2.ellipse(image, centre, axes, 0, 0, 360, dark(rng), -1, cv2.LINE_AA)
        cv2.ellipse(image, centre, axes, 0, 0, 360, light(rng), int(rng.integers(2, 6)), cv2.LINE_AA)
    else:
        reach = int(rng.uniform(60, 130))
        ends = (centre[0] - reach, centre[1]), (centre[0] + reach, centre[1])
        cv2.line(image, *ends, light(rng), int(rng.integers(8, 22)), cv2.LINE_AA)
