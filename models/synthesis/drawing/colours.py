"""Random colours for paper, ink, paint and skin."""

from __future__ import annotations

import cv2
import numpy as np

from stn_rectify.models.synthesis.drawing.images import Colour
from stn_rectify.runtime.arrays import Image


def _colour(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Colour:
    blue, green, red = np.clip(values, 0, 255)
    return float(blue), float(green), float(red)


def light(rng: np.random.Generator) -> Colour:
    """Paper, enamel and white plastic."""
    return _colour(rng.uniform(185, 255) + rng.normal(0, 8, 3))


def dark(rng: np.random.Generator) -> Colour:
    """Ink, rubber and black plastic."""
    return _colour(rng.uniform(0, 70) + rng.normal(0, 10, 3))


def muted(rng: np.random.Generator) -> Colour:
    """Any brightness with little saturation."""
    values = rng.uniform(0, 255, 3)
    return _colour(values.mean() + (values - values.mean()) * rng.uniform(0, 0.4))


def vivid(rng: np.random.Generator) -> Colour:
    """A saturated hue of any brightness above the darkest."""
    hsv = np.array([[[rng.integers(0, 180), rng.integers(120, 256), rng.integers(70, 256)]]], np.uint8)
    return _colour(np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.float64)[0, 0])


def any_colour(rng: np.random.Generator) -> Colour:
    """Muted or vivid with equal chance."""
    return muted(rng) if rng.random() < 0.5 else vivid(rng)


def skin(rng: np.random.Generator) -> Colour:
    """Human skin, from dark to light."""
    level = rng.uniform(0.3, 1.0)
    return _colour(level * np.array([150.0, 175.0, 225.0]) + rng.normal(0, 8, 3))


def scaled(colour: Colour, factor: float) -> Colour:
    """The colour brightened (factor > 1) or darkened."""
    return _colour(np.array(colour) * factor)


def contrasting(rng: np.random.Generator, image: Image) -> Colour:
    """A dark ink for a bright picture, a light one for a dark picture."""
    return dark(rng) if cv2.mean(image)[1] > 120 else light(rng)
