"""What the converter needs of an STN, wherever it was read from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from stn_rectify.converters.tflite.quantizer import TensorFunction

__all__ = ["StnParts"]

_BATCH = 64


@dataclass(frozen=True)
class StnParts:
    """An STN at its input, taken apart: trunk → θ (a linear function) → grid → sampler → recognizer, if any.

    Attributes:
        trunk: frame [B, H, W, C] → ``features`` [B, …], and ``score`` [B, 1] in a model that has one.
        recognizer: rectified image [B, h, w, C] → ``class_scores`` [B, K]; None if nothing follows the sampler.
        whole: frame → ``theta``, ``rectified``, and ``score`` and ``class_scores`` if there; all float32.
        kernel: of the linear function that gives θ, float32 [F, 6, 8 or 32].
        bias: float32 [6, 8 or 32].
        transform: ``"affine"``, ``"projective"`` or ``"tps"``.
        padding: ``"zeros"`` or ``"border"``.
        input_size: height and width of the frame.
        output_size: height and width of the rectified image.
        channels: of both.
        classes: K, or None.
        batch: the batch size that ``whole`` takes; None for any.
    """

    trunk: TensorFunction = field(repr=False)
    recognizer: TensorFunction | None = field(repr=False)
    whole: TensorFunction = field(repr=False)
    kernel: npt.NDArray[np.float32] = field(repr=False)
    bias: npt.NDArray[np.float32] = field(repr=False)
    transform: str
    padding: str
    input_size: tuple[int, int]
    output_size: tuple[int, int]
    channels: int
    classes: int | None
    batch: int | None = None

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the frame."""
        return (*self.input_size, self.channels)

    def run(self, frames: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """The float model's outputs, by name, for frames float32 [N, H, W, C]."""
        import tensorflow as tf

        step = self.batch or _BATCH
        parts = [self.whole(tf.constant(frames[first : first + step])) for first in range(0, len(frames), step)]
        return {name: np.concatenate([np.asarray(part[name], np.float32) for part in parts]) for name in parts[0]}
