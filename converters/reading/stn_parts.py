"""An STN taken apart, wherever it was read from, and the check that its parts make its θ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.reading.foreign.frozen_graph import Scaling
from stn_rectify.runtime.errors import ModelFileError

if TYPE_CHECKING:
    from stn_rectify.converters.reading.foreign.convention import Convention
    from stn_rectify.converters.tflite.quantizer import TensorFunction

_BATCH = 64
_CHECKED_FRAMES = 4
_MOST_DIFFERENCE = 1e-4  # of the largest sum of absolute terms; float32 in another order is hundreds of times nearer


#: What to do about a model that samples more than once.
SEVERAL_SAMPLERS = (
    "one can be converted: save each as a model of its own, keras.Model(its frame, [its image, its theta]), and "
    "run one Rectifier for each"
)


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
        padding: ``"zeros"``, ``"border"`` or ``"cut"``.
        input_size: height and width of the frame.
        output_size: height and width of the rectified image.
        channels: of both.
        classes: K, or None.
        batch: the batch size that ``whole`` takes; None for any.
        convention: of a sampler that is not ours: what was measured of it, and how its θ became the one above; None of
            our own layers.
        scaling: what the model does to pixel values first. Frames here are what comes of it.
        notes: what of the model is not in the file, a line each.
        is_bgr: whether its three channels are blue, green and red, as OpenCV has them.
        original: of a model that TensorFlow does not run itself: the same as ``whole``, by what does; numbers to
            compare with come from there. It takes any number of frames.
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
    convention: Convention | None = None
    scaling: Scaling = field(default_factory=Scaling)
    notes: tuple[str, ...] = ()
    is_bgr: bool = False
    original: TensorFunction | None = field(default=None, repr=False)
    _last: list[Any] = field(default_factory=list, init=False, repr=False, compare=False)  # frames, and their outputs

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the frame."""
        return (*self.input_size, self.channels)

    def run(self, frames: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """The float model's outputs, by name, for frames float32 [N, H, W, C].

        The last frames' outputs are kept: those that calibrate are mostly those that the file is compared on.
        """
        if self._last and self._last[0] is frames:
            return dict(self._last[1])
        whole, batch = (self.whole, self.batch) if self.original is None else (self.original, None)
        outputs = run_in_batches(whole, frames, batch)
        self._last[:] = frames, outputs
        return dict(outputs)


def run_in_batches(
    function: TensorFunction, frames: npt.NDArray[np.float32], batch: int | None
) -> dict[str, npt.NDArray[np.float32]]:
    """The outputs of a function, by name, for all frames [N, H, W, C].

    Args:
        function: of a batch of frames.
        frames: float32.
        batch: the batch size that it takes; None for any.
    """
    import tensorflow as tf

    step = batch or _BATCH
    parts = [function(tf.constant(frames[first : first + step])) for first in range(0, len(frames), step)]
    return {name: np.concatenate([np.asarray(part[name], np.float32) for part in parts]) for name in parts[0]}


def output_remedy(shape: Sequence[int | None], *, follows: bool) -> str:
    """What to do about an output of a model that a file has no place for.

    Args:
        shape: of the output, the batch first.
        follows: whether it is made of the rectified image.
    """
    if follows and len(shape) == 3:
        return (
            "for a network that reads texts (scores [batch, steps, classes]) save what follows the rectified image "
            "as a model of its own, NAME.recognizer.keras, and the model up to the rectified image as NAME.keras"
        )
    if follows and len(shape) == 4:
        return "save the model with the sampler's own image as the output, without the layers behind it"
    return "save the model without it: keras.Model(model.input, [the outputs to keep])"


def check_head(model: str, head: str, parts: StnParts) -> None:
    """Compares features · kernel + bias with θ on random frames.

    Args:
        model: its name, for messages.
        head: name of the layer or node that gives θ, for messages.
        parts: the model, taken apart.

    Raises:
        ModelFileError: if they differ, or θ is not finite; the message names the head.
    """
    import tensorflow as tf

    count = parts.batch or _CHECKED_FRAMES
    frames = tf.constant(np.random.default_rng(0).random((count, *parts.frame_shape), np.float32))
    features = np.reshape(np.asarray(parts.trunk(frames)["features"], np.float64), (count, -1))
    theta = np.asarray(parts.whole(frames)["theta"], np.float64)
    kernel, bias = parts.kernel.astype(np.float64), parts.bias.astype(np.float64)
    if features.shape[1] != len(kernel):
        sizes = f"its kernel has {len(kernel)} rows, its input {features.shape[1]} numbers"
        raise ModelFileError(f"{model}: {head} gives theta, but {sizes}; it must be a Dense layer on a flat vector")
    if not np.isfinite(theta).all():
        raise ModelFileError(f"{model}: {head} gives a theta that is not finite: the training diverged; train it again")
    most = _MOST_DIFFERENCE * max(1.0, float((np.abs(features) @ np.abs(kernel) + np.abs(bias)).max()))
    difference = float(np.abs(features @ kernel + bias - theta).max())
    if not difference <= most:
        raise ModelFileError(
            f"{model}: {head} gives a theta that differs by up to {difference:.2g} from its kernel and bias applied to "
            "its input; it must be a plain Dense layer with float weights, no subclass and not quantized"
        )
