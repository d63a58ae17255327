"""Where a dense Keras network sees targets in a frame: the pyramid, the cells' answers, and what is left of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import keras
import numpy as np

from stn_rectify.models.network.dense import CORNER_UNIT_PX, STRIDE, any_size
from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import is_valid_quadrilateral
from stn_rectify.runtime.rectifying.pixels.preprocess import resize_antialiased
from stn_rectify.runtime.rectifying.searching.candidates import Candidate, thinned

_WINDOW = np.ones((3, 3), np.uint8)


def pyramid_levels(height: int, width: int) -> tuple[tuple[int, int], ...]:
    """Heights and widths of the levels below a network's input, finest first: halves, in whole cells of the body."""
    cell = 2 * STRIDE
    levels = [(height, width)]
    while min(levels[-1]) >= 8 * cell:
        levels.append((cell * round(levels[-1][0] / 2 / cell + 1e-9), cell * round(levels[-1][1] / 2 / cell + 1e-9)))
    return tuple(levels)


def is_dense(model: keras.Model) -> bool:
    """Tells whether a model has the outputs of `stn_rectify.models.network.dense.dense_localization`."""
    if not isinstance(model.input_shape, tuple) or len(model.input_shape) != 4 or None in model.input_shape[1:]:
        return False
    height, width, channels = model.input_shape[1:]
    shapes = [tuple(output.shape[1:]) for output in model.outputs]
    return len(shapes) == 2 and shapes[1] == (height // STRIDE, width // STRIDE, 8) and channels == 3


class DensePredictor:
    """Finds candidates with a dense Keras network, in float.

    Args:
        model: as `stn_rectify.models.network.dense.dense_localization` builds it.
        score: the number of the score to go by, where there are several.

    Raises:
        DataError: if the model is no dense network.
    """

    def __init__(self, model: keras.Model, score: int = 0) -> None:
        if not is_dense(model):
            raise DataError("it is no dense network: its outputs are not scores and corners of cells")
        self._score = score
        self._levels = pyramid_levels(*model.input_shape[1:3])
        self._model = any_size(model)

    def candidates(self, frames: Sequence[Image], *, min_score: float, limit: int) -> list[list[Candidate]]:
        """What may be a target.

        Args:
            frames: BGR uint8 [H, W, 3] each, all of one size.
            min_score: cells with a lower score are left out.
            limit: the most candidates of a frame.

        Returns:
            For each frame its candidates, best first.
        """
        found: list[list[Candidate]] = [[] for _ in frames]
        for height, width in self._levels:
            images = np.stack([resize_antialiased(frame, width, height)[..., ::-1] for frame in frames])
            answers = self._model(images.astype(np.float32) / np.float32(255), training=False)
            logits, corners = (keras.ops.convert_to_numpy(answer) for answer in answers)
            scores = 1 / (1 + np.exp(-logits[..., self._score]))
            for number, frame in enumerate(frames):
                size = (frame.shape[1], frame.shape[0])
                found[number] += _decoded(scores[number], corners[number], (width, height), size, min_score)
        return [[one[k] for k in thinned(one, limit)] for one in found]


def _decoded(
    scores: Any, corners: Any, level_size: tuple[int, int], frame_size: tuple[int, int], min_score: float
) -> list[Candidate]:
    """The candidates of one level, in frame pixels: the best of cells that touch each other."""
    highest = cv2.dilate(scores, _WINDOW)
    rows, columns = np.nonzero((scores == highest) & (scores >= min_score))
    middles = np.stack([columns, rows], axis=-1) * float(STRIDE) + (STRIDE - 1) / 2
    points = corners[rows, columns].reshape(-1, 4, 2) * CORNER_UNIT_PX + middles[:, None]
    in_frame: FloatArray = (points + 0.5) * (np.array(frame_size) / np.array(level_size)) - 0.5
    return [
        Candidate(quadrilateral.astype(np.float64), float(score))
        for quadrilateral, score in zip(in_frame, scores[rows, columns], strict=True)
        if is_valid_quadrilateral(quadrilateral)
    ]
