"""Pictures without a meaning: stand-ins for photographs, on posters and displays and behind the target."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from stn_rectify.models.synthesis.drawing.colours import any_colour, contrasting
from stn_rectify.models.synthesis.drawing.images import filled, resized, shaded, smooth_field
from stn_rectify.models.synthesis.drawing.lettering import text_line
from stn_rectify.runtime.arrays import Image


def draw_picture(rng: np.random.Generator, width: int, height: int) -> Image:
    """A collage of gradients, blobs, polygons and strokes under smooth noise, uint8 [height, width, 3]."""
    image = shaded(rng, filled(width, height, any_colour(rng)), 50)
    for _ in range(int(rng.integers(4, 18))):
        _draw_shape(rng, image)
    noise = sum(
        smooth_field(rng, width, height, (4 * 2**octave, 3 * 2**octave), 3) * 0.6**octave for octave in range(5)
    )
    noise = np.asarray(noise, np.float32) * np.float32(rng.uniform(3, 30))
    return np.asarray(cv2.add(image, noise, dtype=cv2.CV_8U), np.uint8)


def picture_crop(rng: np.random.Generator, pictures: Sequence[Image], width: int, height: int) -> Image:
    """A random part of a random picture, 30–100 % of it, perhaps mirrored, at the size asked for."""
    picture = pictures[int(rng.integers(len(pictures)))]
    full_height, full_width = picture.shape[:2]
    largest = min(full_width / width, full_height / height) * rng.uniform(0.3, 1.0)
    crop_width, crop_height = max(1, int(width * largest)), max(1, int(height * largest))
    x = int(rng.integers(full_width - crop_width + 1))
    y = int(rng.integers(full_height - crop_height + 1))
    part = resized(picture[y : y + crop_height, x : x + crop_width], width, height)
    return np.ascontiguousarray(part[:, ::-1]) if rng.random() < 0.5 else part


def _draw_shape(rng: np.random.Generator, image: Image) -> None:
    """One ellipse, polygon, stroke or word."""
    height, width = image.shape[:2]
    size = np.array([width, height])
    x, y = (rng.random(2) * size).astype(int).tolist()
    shape = rng.random()
    if shape < 0.4:
        axes = (rng.uniform(0.03, 0.35, 2) * size).astype(int).tolist()
        cv2.ellipse(image, (x, y), axes, rng.uniform(0, 180), 0, 360, any_colour(rng), -1, cv2.LINE_AA)
    elif shape < 0.7:
        points = (np.array([x, y]) + rng.normal(0, 0.25, (int(rng.integers(3, 7)), 2)) * size).astype(np.int32)
        cv2.fillPoly(image, [points], any_colour(rng), cv2.LINE_AA)
    elif shape < 0.92:
        end = (rng.random(2) * size).astype(int).tolist()
        cv2.line(image, (x, y), end, any_colour(rng), int(rng.integers(1, 1 + height // 12)), cv2.LINE_AA)
    else:
        text_line(rng, image, (x * 0.5, y * 0.8, width * 0.5, height * 0.12), contrasting(rng, image))
