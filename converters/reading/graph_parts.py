"""Takes an STN apart by its graph: a SavedModel, or a Keras model whose sampler is not ours. No layers, operations.

θ is found as the last row of numbers that all poses go through and that is a linear function of something; what follows
is not believed but measured. Where it is our grid and sampler they are taken as they are; any other bilinear sampler
is folded into the linear function (`foreign`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from stn_rectify.converters.reading.foreign.constant_weights import rebuilt, with_constant_weights
from stn_rectify.converters.reading.foreign.convention import Convention
from stn_rectify.converters.reading.foreign.coordinates import Levels
from stn_rectify.converters.reading.foreign.frozen_graph import (
    FrozenGraph,
    described,
    unshaped,
)
from stn_rectify.converters.reading.foreign.sampler_site import OtherStructureError, SamplerSite, find_sampler
from stn_rectify.converters.reading.graph_check import check_operations
from stn_rectify.converters.reading.input_shape import check_inputs, closed_shape
from stn_rectify.converters.reading.keras_trace import prepare_layers
from stn_rectify.converters.reading.measured_sampler import SamplerReader
from stn_rectify.converters.reading.stn_parts import StnParts, check_head, output_remedy
from stn_rectify.converters.tflite.quantizer import TensorFunction
from stn_rectify.models.network.keras_file import keras_reason
from stn_rectify.runtime.errors import DataError, ModelFileError, first_line

#: What a model that was made a graph gives itself: for the graph and named tensors of it, frame → the same numbers.
Originals = Callable[[FrozenGraph, Mapping[str, Any]], TensorFunction]


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
        ModelFileError: if it is not an STN at its input that can be converted, or takes several frames at a time; the
            message says which node and why.
        UsageError: if its signature is for another size.
    """
    try:
        loaded = tf.saved_model.load(str(folder))
        function = loaded.signatures["serving_default"]
    except Exception as error:  # TensorFlow raises whatever its parts raise
        raise DataError(
            f"{folder} is not a SavedModel with a signature serving_default: {first_line(error)}"
        ) from error
    name, inputs = name or folder.name, function.structured_input_signature[1]
    if len(inputs) > 1:  # before its variables become constants, which takes seconds where they are many
        check_inputs(name, {spec.name: spec.shape.as_list() for spec in inputs.values()})
    for spec in inputs.values():
        if _several(spec) is not None:  # what was traced for so many has the number in it
            raise ModelFileError(_fixed(name, spec))
    return _GraphReader(FrozenGraph(name, _of_size(name, function, input_shape)), accept_border).parts()


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
        # How many frames it was called with first says nothing.
        shapes = (
            {"frame": closed_shape(name, [None, *built[1:]], input_shape)} if isinstance(built, list | tuple) else {}
        )
    check_inputs(name, shapes)
    prepare_layers(model)
    (shape,) = shapes.values()
    spec = tf.TensorSpec(shape, dtype, name="frame")
    traced = spec if _several(spec) is None else tf.TensorSpec((None, *shape[1:]), dtype, name="frame")
    try:
        concrete = tf.function(lambda frame: model(frame, training=False), autograph=False).get_concrete_function(
            traced
        )
    except Exception as error:  # whatever the layers raise
        if traced is not spec:
            raise ModelFileError(_fixed(name, spec)) from error
        raise ModelFileError(f"{name}: cannot be traced: {keras_reason(error)}") from error
    graph = FrozenGraph(name, concrete)
    _check_takes_one(graph, lambda frames: model(frames, training=False), spec)
    return _GraphReader(graph, accept_border).parts()


def _several(spec: Any) -> int | None:
    """How many frames at a time a model was saved for; None where it is one, or any number."""
    count = spec.shape[0] if spec.shape.rank else None
    return None if count in (None, 1) else int(count)


def _check_takes_one(graph: FrozenGraph, original: Callable[[Any], Any], spec: Any) -> None:
    """Refuses a model for several frames at a time that has their number built in: a device has one frame.

    Args:
        graph: what was read, for any number.
        original: the model itself.
        spec: of its input.

    Raises:
        ModelFileError: if the graph does not give for a single frame what the model gives for it among others.
    """
    count = _several(spec)
    if count is None:
        return
    shares = np.random.default_rng(0).random((count, *spec.shape[1:]))
    frames = tf.constant(np.rint(255 * shares) if spec.dtype.is_integer else shares, spec.dtype)
    theirs = tf.nest.flatten(original(frames))
    try:
        ours = tf.nest.flatten(graph.call(frames[-1:]))
    except tf.errors.OpError as error:
        raise ModelFileError(_fixed(graph.name, spec)) from error
    for one, several in zip(ours, theirs, strict=True):
        if one.shape[1:] != several.shape[1:] or not np.allclose(one, several[-1:], rtol=1e-3, atol=1e-4):
            raise ModelFileError(_fixed(graph.name, spec))


def _fixed(name: str, spec: Any) -> str:
    return (
        f"{name}: takes {_several(spec)} frames at a time, and something in it counts on that, but a device has one: "
        "save it for any number, keras.Input((HEIGHT, WIDTH, CHANNELS)), or for one"
    )


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
    frozen = with_constant_weights(name, function)
    frame = frozen.inputs[0]

    def close(node: Any) -> None:
        if node.name == frame.op.name:
            node.attr["shape"].shape.CopyFrom(tf.TensorShape(shape).as_proto())

    return rebuilt(frozen, [frame], close)


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
        # Before the sampler is measured, which takes seconds.
        try:
            site = find_sampler(graph)
            score, class_scores, _ = self._other_outputs(site.thetas[0], site)
        except ModelFileError as error:
            raise OtherStructureError(str(error), graph) from error
        check_operations(graph, [graph.frame], [site.thetas[0], *score.values()])
        check_operations(graph, [site.rectified], class_scores.values())
        reader = SamplerReader(graph, accept_border=self._accept_border)
        pose = reader.pose(site)
        kernel, bias, features = reader.linear(pose.theta)
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
            kernel, bias = convention.folded(kernel, bias)
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
            batch=graph.batch,
            convention=convention,
            scaling=graph.scaling,
            notes=tuple(notes),
        )
        check_head(self.name, described(pose.theta), parts)
        return parts

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


def _with_our_theta(whole: Callable[[Any], dict[str, Any]], convention: Convention) -> Callable[[Any], dict[str, Any]]:
    """The same function with θ in our convention."""

    def run(frames: Any) -> dict[str, Any]:
        outputs = whole(frames)
        return {**outputs, "theta": convention.ours(outputs["theta"])}

    return run


def _with_levels_of_the_frame(whole: Callable[[Any], dict[str, Any]], levels: Levels) -> TensorFunction:
    """The same function, its rectified image of the frame's own values."""

    def run(frames: Any) -> dict[str, Any]:
        outputs = whole(frames)
        return {**outputs, "rectified": levels.undone(outputs["rectified"])}

    return run


def _behind_levels(recognizer: Callable[[Any], dict[str, Any]], levels: Levels) -> TensorFunction:
    """The recognizer of images of the frame's own values."""
    return lambda images: recognizer(levels.given(images))
