"""Takes an STN apart by its graph: a SavedModel, or a Keras model whose sampler is not ours. No layers, operations.

θ is found as the last row of numbers that all poses go through and that is a linear function of something; what follows
is not believed but measured. Where it is our grid and sampler they are taken as they are; any other bilinear sampler
is folded into the linear function (`foreign`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from stn_rectify.converters.reading.foreign.borders import MOST_DIFFERENCE, find_border
from stn_rectify.converters.reading.foreign.convention import Convention, convention_name, fold
from stn_rectify.converters.reading.foreign.coordinates import Levels, PoseMap, SamplerProbe
from stn_rectify.converters.reading.foreign.fitting import MOST_RESIDUAL_PX
from stn_rectify.converters.reading.foreign.frozen_graph import (
    FrozenGraph,
    constant,
    described,
    linear_source,
    unshaped,
)
from stn_rectify.converters.reading.foreign.sampler_site import SamplerSite, find_sampler
from stn_rectify.converters.reading.graph_check import check_operations, first_without_int8
from stn_rectify.converters.reading.input_shape import check_inputs, closed_shape
from stn_rectify.converters.reading.keras_trace import prepare_layers
from stn_rectify.converters.reading.stn_parts import StnParts, check_head, output_remedy
from stn_rectify.converters.tflite.quantizer import TensorFunction
from stn_rectify.models.network.keras_file import keras_reason
from stn_rectify.models.network.layers import PADDINGS, AffineGrid, BilinearSampler, ProjectiveGrid, ThinPlateSplineGrid
from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.errors import DataError, ModelFileError, first_line
from stn_rectify.runtime.geometry import THETA_SIZE, identity_theta

#: What a model that was made a graph gives itself: for the graph and named tensors of it, frame → the same numbers.
Originals = Callable[[FrozenGraph, Mapping[str, Any]], TensorFunction]

_GRIDS: dict[str, Any] = {"affine": AffineGrid, "projective": ProjectiveGrid, "tps": ThinPlateSplineGrid}
_POSES = 8


def split_saved_model(
    folder: Path,
    *,
    accept_border: bool = False,
    name: str | None = None,
    input_shape: tuple[int, ...] | None = None,
) -> StnParts:
    """Finds trunk, head, grid, sampler and recognizer in the graph of the signature ``serving_default``.

    Args:
        folder: the SavedModel.
        accept_border: take the nearest of our paddings where the sampler's is none of them.
        name: of the model, for messages; None: the folder's.
        input_shape: height and width, and perhaps channels, of the frame, for a signature that is open to any.

    Raises:
        DataError: if the folder cannot be loaded.
        ModelFileError: if it is not an STN at its input that can be converted; the message says which node and why.
        UsageError: if its signature is for another size.
    """
    try:
        loaded = tf.saved_model.load(str(folder))
        function = loaded.signatures["serving_default"]
    except Exception as error:  # TensorFlow raises whatever its parts raise
        raise DataError(
            f"{folder} is not a SavedModel with a signature serving_default: {first_line(error)}"
        ) from error
    function = _of_size(name or folder.name, function, input_shape)
    return _GraphReader(FrozenGraph(name or folder.name, function), accept_border).parts()


def split_keras_graph(
    model: keras.Model, *, accept_border: bool = False, input_shape: tuple[int, ...] | None = None
) -> StnParts:
    """The same of a Keras model with whatever layers.

    Args:
        model: the model.
        accept_border: as above.
        input_shape: of the frame, for a model whose ``call()`` was built for any.

    Raises:
        ModelFileError: if it cannot be run on one image, or is not an STN that can be converted.
    """
    name = str(model.name)
    if not isinstance(model, keras.Model) or not model.built:
        raise ModelFileError("not a built Keras model: build it, or train it, before it is saved")
    inputs = getattr(model, "inputs", None) or ()
    shapes, dtype = {t.name: tuple(t.shape) for t in inputs}, inputs[0].dtype if inputs else "float32"
    if not shapes:  # a subclass of keras.Model: the shape that it was built with
        built = (model.get_build_config() or {}).get("input_shape")
        shapes = {"frame": closed_shape(name, built, input_shape)} if isinstance(built, list | tuple) else {}
    check_inputs(name, shapes)
    prepare_layers(model)
    (shape,) = shapes.values()
    spec = tf.TensorSpec(shape, dtype, name="frame")
    try:
        concrete = tf.function(lambda frame: model(frame, training=False), autograph=False).get_concrete_function(spec)
    except Exception as error:  # whatever the layers raise
        raise ModelFileError(f"{name}: cannot be traced: {keras_reason(error)}") from error
    return _GraphReader(FrozenGraph(name, concrete), accept_border).parts()


def split_graph(graph: FrozenGraph, *, accept_border: bool, original: Originals) -> StnParts:
    """The same of a graph that was made of a model of another framework.

    Args:
        graph: the graph.
        accept_border: as above.
        original: runs the model itself.

    Raises:
        ModelFileError: if it is not an STN that can be converted.
    """
    return _GraphReader(graph, accept_border, original).parts()


def _of_size(name: str, function: Any, wanted: tuple[int, ...] | None) -> Any:
    """A signature for frames of one size; the same if none is wanted, or it is not open to any."""
    inputs = function.structured_input_signature[1]
    if wanted is None or len(inputs) != 1:
        return function
    (spec,) = inputs.values()
    if spec.shape.rank != 4:
        return function
    shape = closed_shape(name, spec.shape.as_list(), wanted)
    if spec.shape.as_list() == list(shape):
        return function
    frozen = convert_variables_to_constants_v2(function)
    definition = frozen.graph.as_graph_def()
    for node in definition.node:
        node.attr.pop("_output_shapes", None)
        # In which order functions were called says nothing once they are one graph, but ties all to its input.
        computed_from = [source for source in node.input if not source.startswith("^")]
        del node.input[:]
        node.input.extend(computed_from)
        if node.name == frozen.inputs[0].op.name:
            node.attr["shape"].shape.CopyFrom(tf.TensorShape(shape).as_proto())
    closed = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(definition, name=""), [])
    ends = ([closed.graph.get_tensor_by_name(t.name) for t in side] for side in (frozen.inputs, frozen.outputs))
    return closed.prune(*ends)


@dataclass(frozen=True)
class _Pose:
    """θ of a graph, and what it means.

    Attributes:
        theta: the tensor, [B, n].
        transform: ``"affine"``, ``"projective"`` or ``"tps"``.
        padding: of `PADDINGS`.
        convention: how its numbers become those of our θ; None: they are.
        levels: of the sampler's image; None: the frame's own.
    """

    theta: Any
    transform: str
    padding: str
    convention: Convention | None
    levels: Levels | None = None


class _GraphReader:
    """Reads the parts of one graph."""

    def __init__(self, graph: FrozenGraph, accept_border: bool, original: Originals | None = None) -> None:
        self.graph, self.name = graph, graph.name
        self._accept_border, self._original = accept_border, original
        graph.check_numbers()
        height, width, channels = (int(n) for n in graph.frame.shape[1:])
        self.frame_shape = (height, width, channels)

    def parts(self) -> StnParts:
        graph = self.graph
        site = find_sampler(graph)
        # Before the sampler is measured, which takes seconds.
        score, class_scores, _ = self._other_outputs(site.thetas[0], site)
        check_operations(graph, graph.frame, [site.thetas[0], *score.values()])
        check_operations(graph, site.rectified, class_scores.values())
        pose = self._pose(site)
        kernel, bias, features = self._linear(pose.theta)
        score, class_scores, notes = self._other_outputs(pose.theta, site)
        if any(graph.behind(features) is tensor for tensor in score.values()):
            raise ModelFileError(
                f"{self.name}: node {features.op.name!r} gives both the score and all that theta is made from; a pose "
                "needs features of its own"
            )
        ends = {"theta": pose.theta, "rectified": site.rectified, **score, **class_scores}
        wholes = [graph.function(graph.frame, ends)]
        wholes += [] if self._original is None else [self._original(graph, ends)]
        convention = pose.convention
        if convention is not None:
            kernel = np.asarray(kernel @ convention.B.T, np.float32)
            bias = np.asarray(convention.B @ bias + convention.b, np.float32)
            wholes = [_with_our_theta(whole, convention) for whole in wholes]
        recognizer = graph.function(site.rectified, class_scores) if class_scores else None
        if pose.levels is not None:
            wholes = [_with_levels_of_the_frame(whole, pose.levels) for whole in wholes]
            recognizer = None if recognizer is None else _behind_levels(recognizer, pose.levels)
            if recognizer is None:
                notes.append(
                    f"{self.name}: the rectified image is scaled and shifted; the file gives the frame's own pixels"
                )
        parts = StnParts(
            trunk=graph.function(graph.frame, {"features": features, **score}),
            recognizer=recognizer,
            whole=wholes[0],
            original=wholes[1] if len(wholes) > 1 else None,
            kernel=kernel,
            bias=bias,
            transform=pose.transform,
            padding=pose.padding,
            input_size=self.frame_shape[:2],
            output_size=site.size,
            channels=self.frame_shape[2],
            classes=graph.row_size(class_scores["class_scores"]) if class_scores else None,
            batch=self._batch,
            convention=convention,
            scaling=graph.scaling,
            notes=tuple(notes),
        )
        check_head(self.name, described(pose.theta), parts)
        return parts

    @cached_property
    def _batch(self) -> int | None:
        """The batch size that the graph takes; None for any.

        Raises:
            ModelFileError: if it does not run.
        """
        frame = self.graph.frame
        stated, computed = frame.shape[0], [tensor for tensor in self.graph.outputs if tensor is not frame]
        for count in (2, 1) if stated is None else (stated,):
            try:
                self.graph.run([(frame, np.zeros((count, *self.frame_shape), np.float32))], *computed)
            except tf.errors.OpError as error:
                reason = first_line(error)
            else:
                return None if count == 2 and stated is None else count
        raise ModelFileError(f"{self.name}: does not run on a black frame: {reason}")

    # Outputs

    def _other_outputs(self, theta: Any, site: SamplerSite) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
        """The score and the class scores, of which there may be none, and notes about outputs that are left out."""
        graph, rectified = self.graph, site.rectified
        inside = graph.ancestors([rectified], [theta])
        inside = {t for t in inside if graph.depends([t.deref()], theta)}
        score: dict[str, Any] = {}
        class_scores: dict[str, Any] = {}
        notes: list[str] = []
        for output in graph.outputs:
            if any(output is tensor for tensor in (*site.thetas, rectified, *score.values(), *class_scores.values())):
                continue
            follows = graph.depends([output], rectified)
            shape = (graph.shape(output) or ()) if output.dtype == tf.float32 else ()
            size = (shape[1] or 0) if len(shape) == 2 else 0  # numbers for each frame; 0: not a row of float32 ones
            if follows and size > 1 and not class_scores:
                class_scores["class_scores"] = output
            elif not follows and size == 1 and not score:
                score["score"] = output
            elif not follows and (output.ref() in inside or unshaped(output) is theta):
                notes.append(
                    f"{self.name}: output {output.op.name!r} lies inside the sampler and is left out of the file"
                )
                continue
            else:
                description = f"{output.dtype.name} of shape {output.shape}"
                raise ModelFileError(
                    f"{self.name}: output {output.op.name!r}, {description}, is neither the rectified "
                    "image, theta, a score [batch, 1] nor the class scores of a recognizer [batch, classes]; "
                    f"{output_remedy(shape, follows=follows)}"
                )
            if follows and graph.depends([output], graph.frame, not_through=rectified):
                raise ModelFileError(
                    f"{self.name}: output {output.op.name!r} sees not only the rectified image but also the frame; a "
                    "recognizer must see the rectified image alone"
                )
        return score, class_scores, notes

    # The linear function before θ

    def _linear(self, theta: Any) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], Any]:
        """Kernel, bias and the tensor that they are applied to: the input of the first product in a row of them."""
        tensor, features = self.graph.behind(theta), None
        while (source := linear_source(tensor)) is not None:
            if tensor.op.type == "MatMul":
                features = source
            tensor = self.graph.behind(source)
        size = self.graph.row_size(theta)
        if features is None:  # behind an activation: as it is
            self._refuse_float(theta)
            return np.eye(size, dtype=np.float32), np.zeros(size, np.float32), theta
        direct = self._dense(theta, features)
        if direct is not None:
            return *direct, features
        count = self.graph.row_size(features)
        bias = self.graph.run([(features, np.zeros((1, count), np.float32))], theta)
        kernel = self.graph.run([(features, np.eye(count, dtype=np.float32))], theta) - bias
        return kernel, bias[0], features

    def _refuse_float(self, theta: Any) -> None:
        """Refuses a θ made of what the last dense layer gives by functions that have no INT8 operator."""
        refused = first_without_int8(self.graph, self.graph.frame, [theta])
        if refused is not None:
            raise ModelFileError(
                f"{self.name}: the places where its sampler reads are a linear function of {described(theta)}, but "
                f"that is made by {described(refused.outputs[0])}, which has no INT8 operator; let the network give "
                "the matrix itself"
            )

    def _dense(self, theta: Any, features: Any) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None:
        """Kernel and bias as they are in the graph, to the last bit; None if there is more between the two tensors."""
        op, bias = theta.op, np.zeros(1, np.float32)
        if op.type in ("BiasAdd", "Add", "AddV2"):
            sides = list(op.inputs)
            which = 1 if constant(sides[1]) is not None else 0
            added = constant(sides[which])
            bias = bias if added is None else np.float32(added).ravel()
            op = self.graph.behind(sides[1 - which]).op
        if op.type != "MatMul" or op.inputs[0] is not features or op.get_attr("transpose_b"):
            return None
        bias = np.broadcast_to(bias, theta.shape[1])
        return np.asarray(constant(op.inputs[1]), np.float32), np.array(bias, np.float32)

    # What was measured

    def _pose(self, site: SamplerSite) -> _Pose:
        """The first tensor that is θ: the sampler is ours, or reads at places that are a linear function of it."""
        for theta in site.thetas:
            ours = self._ours(theta, site, self._sampler(theta, site.rectified))
            if ours is not None:
                return ours
        for theta in site.thetas:
            sample, usual = self._sampler(theta, site.rectified), self._usual_theta(theta)
            probe = SamplerProbe(self.name, sample, self.frame_shape, usual, self._batch)
            found = probe.pose_map()
            if found is not None:
                return self._folded(theta, site, probe, found)
        raise ModelFileError(
            f"{self.name}: the places where its sampler reads are no linear function of {described(site.thetas[0])}, "
            f"within {MOST_RESIDUAL_PX:g} px, nor of what is made of it before the grid; affine and projective "
            "transforms of any convention can be converted, and grids of stn_rectify"
        )

    def _sampler(self, theta: Any, rectified: Any) -> Callable[[Array, Array], Array]:
        part = self.graph.part([self.graph.frame, theta], [rectified])

        def sample(frames: Array, thetas: Array) -> Array:
            (images,) = part(tf.constant(frames, tf.float32), tf.constant(thetas, tf.float32))
            return np.asarray(images)

        return sample

    def _usual_theta(self, theta: Any) -> Array:
        """The mean θ of some frames of noise, float64 [n]."""
        count = self._batch or 4
        frames = np.random.default_rng(2).random((count, *self.frame_shape), np.float32)
        return np.asarray(self.graph.run([(self.graph.frame, frames)], theta).mean(axis=0), np.float64)

    def _ours(self, theta: Any, site: SamplerSite, sample: Callable[[Array, Array], Array]) -> _Pose | None:
        """The transform and padding with which our layers give the same image, for random frames and poses."""
        size = self.graph.row_size(theta)
        transform = next((name for name, numbers in THETA_SIZE.items() if numbers == size), None)
        if transform is None:
            return None
        grid = _GRIDS[transform](self.frame_shape[:2], site.size)
        rng = np.random.default_rng(0)
        identity = identity_theta(transform)
        difference = dict.fromkeys(PADDINGS, 0.0)
        count = self._batch or 1
        for _ in range(_POSES):
            frames = rng.random((count, *self.frame_shape), np.float32)
            poses = np.asarray(identity + rng.normal(0, 0.15, (count, len(identity))), np.float32)
            theirs = sample(frames, poses)
            places = grid(poses)
            for padding in PADDINGS:
                ours = np.asarray(BilinearSampler(padding)([frames, places]))
                difference[padding] = max(difference[padding], float(np.abs(ours - theirs).max()))
            if min(difference.values()) > MOST_DIFFERENCE:
                return None
        best = min(difference, key=lambda padding: difference[padding])
        return _Pose(theta, transform, best, None)

    def _folded(self, theta: Any, site: SamplerSite, probe: SamplerProbe, found: PoseMap) -> _Pose:
        folded = fold(found, self.frame_shape[:2], site.size)
        if folded is None:
            raise ModelFileError(
                f"{self.name}: its sampler is projective, but H[2, 2] in normalised coordinates depends on "
                f"{described(theta)}: it would have to be divided by, which is not linear; give theta normalised from "
                "-1 to 1 about the middle"
            )
        border = find_border(probe, found)
        notes: tuple[str, ...] = ()
        if not border.exact:
            share = f"{100 * border.differs:.1f} % of the pixels differ on poses that leave the frame"
            what = (
                f"what its sampler makes of places outside the frame ({border.name}) is none of {', '.join(PADDINGS)}"
            )
            if not self._accept_border:
                raise ModelFileError(
                    f"{self.name}: {what}; with --accept-border the nearest, {border.padding}, is taken: {share}"
                )
            notes = (f"{what}: {border.padding} was taken (--accept-border), and {share}",)
        input_size = self.frame_shape[:2]
        B, b = folded
        name = convention_name(found, input_size, site.size)
        convention = Convention(name, found.residual_px, border.name, border.differs, notes, B, b)
        levels = None if probe.levels.are_the_frames else probe.levels
        return _Pose(theta, found.transform, border.padding, convention, levels)


def _with_our_theta(whole: Callable[[Any], dict[str, Any]], convention: Convention) -> Callable[[Any], dict[str, Any]]:
    """The same function with θ in our convention."""
    B, b = (np.asarray(part, np.float32) for part in (convention.B.T, convention.b))

    def run(frames: Any) -> dict[str, Any]:
        outputs = whole(frames)
        return {**outputs, "theta": tf.matmul(outputs["theta"], B) + b}

    return run


def _with_levels_of_the_frame(whole: Callable[[Any], dict[str, Any]], levels: Levels) -> TensorFunction:
    """The same function, its rectified image of the frame's own values."""
    factor, offset = np.float32(levels.factor), np.float32(levels.offset)

    def run(frames: Any) -> dict[str, Any]:
        outputs = whole(frames)
        return {**outputs, "rectified": (outputs["rectified"] - offset) / factor}

    return run


def _behind_levels(recognizer: Callable[[Any], dict[str, Any]], levels: Levels) -> TensorFunction:
    """The recognizer of images of the frame's own values."""
    factor, offset = np.float32(levels.factor), np.float32(levels.offset)
    return lambda images: recognizer(images * factor + offset)
