"""Takes an STN apart that was exported as a SavedModel: no layers any more, a graph of TensorFlow operations.

θ is found as an output that is a linear function of something and that the rectified image is made from. That the rest
is our grid and sampler is not believed but measured: on random frames and poses the graph must give what
`stn_rectify.models.network.layers` give.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from stn_rectify.converters.reading.stn_parts import StnParts, check_head
from stn_rectify.models.network.layers import PADDINGS, AffineGrid, BilinearSampler, ProjectiveGrid, ThinPlateSplineGrid
from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.errors import DataError, ModelFileError, first_line
from stn_rectify.runtime.geometry import THETA_SIZE, identity_theta

_GRIDS: dict[str, Any] = {"affine": AffineGrid, "projective": ProjectiveGrid, "tps": ThinPlateSplineGrid}
_TRANSPARENT = ("Identity", "IdentityN", "StopGradient", "Reshape", "EnsureShape")
_POSES = 8
_MOST_DIFFERENCE = 1e-3  # of pixel values in [0, 1]: float32 arithmetic in another order


def split_saved_model(folder: Path) -> StnParts:
    """Finds trunk, head, grid, sampler and recognizer in the graph of the signature ``serving_default``.

    Raises:
        DataError: if the folder cannot be loaded.
        ModelFileError: if it is not an STN at its input that can be converted; the message says which node and why.
    """
    try:
        loaded = tf.saved_model.load(str(folder))
        function = loaded.signatures["serving_default"]
    except Exception as error:  # TensorFlow raises whatever its parts raise
        raise DataError(
            f"{folder} is not a SavedModel with a signature serving_default: {first_line(error)}"
        ) from error
    return _SavedModel(folder.name, convert_variables_to_constants_v2(function)).parts()


class _SavedModel:
    """The frozen graph of one signature."""

    def __init__(self, name: str, frozen: Any) -> None:
        self.name, self.frozen = name, frozen
        if len(frozen.inputs) != 1 or frozen.inputs[0].shape.rank != 4 or None in frozen.inputs[0].shape[1:]:
            raise ModelFileError(f"{name}: needs one input [batch, height, width, channels] of fixed size")
        if frozen.inputs[0].dtype != tf.float32:
            raise ModelFileError(
                f"{name}: its input is {frozen.inputs[0].dtype.name}; export the model with a float32 input, the "
                "scaling of pixel values left to stn-convert --value-range"
            )
        self.frame = frozen.inputs[0]
        self._check_numbers()
        self.outputs: list[Any] = [self._behind(t) for t in frozen.outputs]

    def parts(self) -> StnParts:
        rectified = self._rectified()
        theta, transform = self._theta(rectified)
        kernel, bias, features = self._linear(theta)
        score, class_scores = self._other_outputs(theta, rectified)
        padding = self._padding(theta, rectified, transform)
        height, width, channels = (int(n) for n in self.frame.shape[1:])
        whole = {"theta": theta, "rectified": rectified, **score, **class_scores}
        if any(self._behind(features) is tensor for tensor in score.values()):
            raise ModelFileError(
                f"{self.name}: node {features.op.name!r} gives both the score and all that theta is made from; a pose "
                "needs features of its own"
            )
        parts = StnParts(
            trunk=self._function(self.frame, {"features": features, **score}),
            recognizer=self._function(rectified, class_scores) if class_scores else None,
            whole=self._function(self.frame, whole),
            kernel=kernel,
            bias=bias,
            transform=transform,
            padding=padding,
            input_size=(height, width),
            output_size=(int(rectified.shape[1]), int(rectified.shape[2])),
            channels=channels,
            classes=int(class_scores["class_scores"].shape[1]) if class_scores else None,
            batch=self.frame.shape[0],
        )
        check_head(self.name, f"node {theta.op.name!r} ({theta.op.type})", parts)
        return parts

    def _check_numbers(self) -> None:
        """Refuses weights that are no numbers, and arithmetic in half precision."""
        for op in self.frozen.graph.get_operations():
            half = [t.dtype.name for t in op.outputs if t.dtype in (tf.float16, tf.bfloat16)]
            if half:
                raise ModelFileError(
                    f"{self.name}: node {op.name!r} ({op.type}) computes in {half[0]}; give the .keras file, or export "
                    "the model with the dtype policy float32"
                )
            weights = _constant(op.outputs[0]) if op.type == "Const" and op.outputs[0].dtype == tf.float32 else None
            if weights is not None and weights.size > 1 and not np.isfinite(weights).all():
                raise ModelFileError(
                    f"{self.name}: the weights of node {_reader(op.outputs[0])!r} are not finite: the training "
                    "diverged; train it again"
                )

    # Outputs

    def _rectified(self) -> Any:
        channels = self.frame.shape[3]
        images = [t for t in self.outputs if t.shape.rank == 4 and t.shape[3] == channels and None not in t.shape[1:]]
        if len(images) != 1:
            raise ModelFileError(
                f"{self.name}: {len(images)} outputs of its signature are images with {channels} channels, exactly one "
                "is needed, the rectified image; export the model with its outputs rectified and theta"
            )
        return images[0]

    def _theta(self, rectified: Any) -> tuple[Any, str]:
        """The output of 6, 8 or 32 numbers that the rectified image is made from, and its transform."""
        sizes = {size: transform for transform, size in THETA_SIZE.items()}
        ancestors = _ancestors([rectified])
        for output in self.outputs:
            if output.shape.rank == 2 and output.shape[1] in sizes and output.ref() in ancestors:
                return output, sizes[output.shape[1]]
        raise ModelFileError(
            f"{self.name}: no output of its signature is theta ({' or '.join(map(str, sizes))} numbers that the "
            "rectified image is made from); export it with its outputs rectified and theta, or give the .keras file"
        )

    def _other_outputs(self, theta: Any, rectified: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        score: dict[str, Any] = {}
        class_scores: dict[str, Any] = {}
        for output in self.outputs:
            if any(output is tensor for tensor in (theta, rectified, *score.values(), *class_scores.values())):
                continue
            follows = rectified.ref() in _ancestors([output])
            # How many numbers a frame has; 0: not a row of float32 numbers.
            size = (output.shape[1] or 0) if output.shape.rank == 2 and output.dtype == tf.float32 else 0
            if follows and size > 1 and not class_scores:
                class_scores["class_scores"] = output
            elif not follows and size == 1 and not score:
                score["score"] = output
            else:
                description = f"{output.dtype.name} of shape {output.shape}"
                raise ModelFileError(
                    f"{self.name}: output {output.op.name!r}, {description}, is neither the rectified "
                    "image, theta, a score [batch, 1] nor the class scores of a recognizer [batch, classes]"
                )
            if follows and self.frame.ref() in _ancestors([output], [rectified]):
                raise ModelFileError(
                    f"{self.name}: output {output.op.name!r} sees not only the rectified image but also the frame; a "
                    "recognizer must see the rectified image alone"
                )
        return score, class_scores

    # The linear function before θ

    def _linear(self, theta: Any) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], Any]:
        """Kernel, bias and the tensor that they are applied to."""
        op, bias = theta.op, np.zeros(theta.shape[1], np.float32)
        if op.type in ("BiasAdd", "Add", "AddV2"):
            sides = list(op.inputs)
            which = 1 if _constant(sides[1]) is not None else 0
            added = _constant(sides[which])
            bias = bias if added is None else np.broadcast_to(np.float32(added), bias.shape)
            op = self._behind(sides[1 - which]).op
        kernel = _constant(op.inputs[1]) if op.type == "MatMul" else None
        if kernel is None or op.get_attr("transpose_a") or op.get_attr("transpose_b"):
            raise ModelFileError(
                f"{self.name}: node {op.name!r} ({op.type}) gives theta; it must be a linear function of the features, "
                "a Dense layer without activation"
            )
        return np.asarray(kernel, np.float32), np.array(bias, np.float32), op.inputs[0]

    # What was measured

    def _padding(self, theta: Any, rectified: Any, transform: str) -> str:
        """The padding with which our layers give the same image, for random frames and poses."""
        size = (int(self.frame.shape[1]), int(self.frame.shape[2]))
        grid = _GRIDS[transform](size, (int(rectified.shape[1]), int(rectified.shape[2])))
        sample = self._pruned([self.frame, theta], [rectified])
        rng = np.random.default_rng(0)
        identity = identity_theta(transform)
        difference = dict.fromkeys(PADDINGS, 0.0)
        count = self.frame.shape[0] or 1
        for _ in range(_POSES):
            frames = tf.constant(rng.random((count, *self.frame.shape[1:]), np.float32))
            poses = np.float32(identity + rng.normal(0, 0.15, (count, len(identity))))
            (theirs,) = sample(frames, tf.constant(poses))
            for padding in PADDINGS:
                ours = BilinearSampler(padding)([frames, grid(poses)])
                difference[padding] = max(difference[padding], float(np.abs(np.asarray(ours) - theirs).max()))
        best = min(difference, key=lambda padding: difference[padding])
        if difference[best] > _MOST_DIFFERENCE:
            raise ModelFileError(
                f"{self.name}: its rectified image is not bilinear sampling at theta in our coordinates "
                f"(normalised, align_corners=False): it differs by up to {255 * difference[best]:.0f} of 255 levels"
            )
        return best

    # Functions

    def _function(self, start: Any, ends: dict[str, Any]) -> Any:
        run = self._pruned([start], list(ends.values()))

        def named(tensor: Any) -> dict[str, Any]:
            return dict(zip(ends, run(tf.convert_to_tensor(tensor)), strict=True))

        return named

    def _pruned(self, starts: Sequence[Any], ends: Sequence[Any]) -> Any:
        return self.frozen.prune(list(starts), list(ends))

    def _behind(self, tensor: Any) -> Any:
        """The tensor that nodes which change nothing pass on."""
        while tensor.op.type in _TRANSPARENT and tensor.op.inputs[0].shape.as_list() == tensor.shape.as_list():
            tensor = tensor.op.inputs[0]
        return tensor


def _constant(tensor: Any) -> Array | None:
    while tensor.op.type in _TRANSPARENT:
        tensor = tensor.op.inputs[0]
    return np.asarray(tf.make_ndarray(tensor.op.get_attr("value"))) if tensor.op.type == "Const" else None


def _reader(tensor: Any) -> str:
    """Name of the first node that does something with a tensor."""
    readers = tensor.consumers()
    while readers and readers[0].type in _TRANSPARENT:
        tensor = readers[0].outputs[0]
        readers = tensor.consumers()
    return str(readers[0].name if readers else tensor.op.name)


def _ancestors(tensors: Sequence[Any], ends: Sequence[Any] = ()) -> set[Any]:
    """References of the tensors and all that they are made from, no further than ``ends``."""
    reached, stop = set(), {t.ref() for t in ends}
    waiting = list(tensors)
    while waiting:
        tensor = waiting.pop()
        if tensor.ref() in reached:
            continue
        reached.add(tensor.ref())
        if tensor.ref() not in stop:
            waiting += list(tensor.op.inputs)
    return reached
