"""Images that show nothing to recognize: photographs as a recognizer sees them behind a localization network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import numpy.typing as npt

from stn_rectify.models.synthesis.material.photographs import load_photograph
from stn_rectify.runtime.arrays import Image

_MAX_SIDE_PX = 640
_MOST_PHOTOGRAPHS = 2000
_FLAT = 32  # images of one brightness
_CROP = (0.15, 0.8)  # of the photograph's shorter side


def unknown_images(
    rectifying: keras.Model, photographs: Sequence[Path], rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Three images of each photograph, 2,000 of them at most, and some of one brightness; in random order.

    Of each photograph: the whole of it and a square out of it, both through the localization network, and such a square
    as it is, for other models may stand before the recognizer.

    Args:
        rectifying: frames [B, H, W, C] in [0, 1] → rectified images [B, h, w, C]; C is 1 or 3.
        photographs: files that show nothing to recognize.
        rng: chooses the squares.

    Returns:
        float32 [N, h, w, C] in [0, 1].

    Raises:
        DataError: if a photograph cannot be read.
    """
    frame, image = rectifying.input_shape[1:], rectifying.output_shape[1:]
    chosen = sorted(rng.permutation(len(photographs))[:_MOST_PHOTOGRAPHS].tolist())
    frames, squares = [], []
    for number in chosen:
        photograph = load_photograph(photographs[number], _MAX_SIDE_PX)
        frames += [_sized(photograph, frame), _sized(_square(photograph, rng), frame)]
        squares.append(_sized(_square(photograph, rng), image))
    flat = np.broadcast_to(np.linspace(0, 1, _FLAT, dtype=np.float32)[:, None, None, None], (_FLAT, *image))
    images = np.concatenate([rectifying.predict(np.stack(frames), verbose=0), np.stack(squares), flat])
    return np.asarray(images[rng.permutation(len(images))], np.float32)


def _square(photograph: Image, rng: np.random.Generator) -> Image:
    height, width = photograph.shape[:2]
    side = max(1, int(rng.uniform(*_CROP) * min(height, width)))
    top, left = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
    return photograph[top : top + side, left : left + side]


def _sized(photograph: Image, shape: tuple[int, int, int]) -> npt.NDArray[np.float32]:
    height, width, channels = shape
    resized: Any = cv2.resize(photograph, (width, height), interpolation=cv2.INTER_AREA)
    coloured = cv2.cvtColor(resized, cv2.COLOR_BGR2GRAY if channels == 1 else cv2.COLOR_BGR2RGB)
    return np.asarray(coloured.reshape(shape) / np.float32(255), np.float32)
