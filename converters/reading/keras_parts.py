"""Takes a Keras STN apart by its layers, whatever they are called and however its models are nested."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from stn_rectify.converters.reading.keras_trace import KerasTrace, TracedCall
from stn_rectify.converters.reading.layer_check import check_layers
from stn_rectify.converters.reading.stn_parts import SEVERAL_SAMPLERS, StnParts, check_head, output_remedy
from stn_rectify.converters.tflite.quantizer import TensorFunction
from stn_rectify.models.network.layers import AffineGrid, BilinearSampler, ProjectiveGrid, ThinPlateSplineGrid
from stn_rectify.runtime.errors import ModelFileError

_TRANSFORMS: dict[type, str] = {AffineGrid: "affine", ProjectiveGrid: "projective", ThinPlateSplineGrid: "tps"}


class ForeignLayersError(ModelFileError):
    """A model that is no STN of stn_rectify's layers at its input, or hides its layers; its graph may tell more."""


def split_keras_model(model: keras.Model) -> StnParts:
    """Finds trunk, head, grid, sampler and recognizer.

    Raises:
        ForeignLayersError: if grid, sampler or the layer that gives θ is not one of ours; its graph may tell more.
        ModelFileError: if the model is not an STN at its input that can be converted; the message says which layer and
            why.
    """
    if isinstance(model, keras.Model) and model.built and not isinstance(model, keras.Function | keras.Sequential):
        raise ForeignLayersError(f"{model.name}: its layers are hidden in the call() of class {type(model).__name__}")
    trace = KerasTrace(model)
    sampler = _the_sampler(model.name, trace)
    image, grid = sampler.inputs
    if image is not trace.frame:
        maker = trace.maker(image).description
        raise ForeignLayersError(f"{model.name}: {sampler.description} samples the output of {maker}, not the frame")
    generator = trace.maker(grid)
    transform = _TRANSFORMS.get(type(generator.operation))
    if transform is None:
        names = ", ".join(kind.__name__ for kind in _TRANSFORMS)
        raise ForeignLayersError(f"{model.name}: {generator.description} makes the grid; {names} can be converted")
    height, width, channels = (int(n) for n in trace.frame.shape[1:])
    if generator.operation.input_size != (height, width):
        sizes = f"{generator.operation.input_size}, the frame is {(height, width)}"
        raise ModelFileError(f"{model.name}: {generator.description} is made for frames of {sizes}")
    (theta,) = generator.inputs
    head = trace.maker(theta)
    dense = head.operation
    if not isinstance(dense, keras.layers.Dense) or dense.activation is not keras.activations.linear:
        raise ForeignLayersError(
            f"{model.name}: {head.description} gives theta; it must be a Dense layer without activation "
            "(an activation such as sigmoid cannot even reach every pose)"
        )
    features, rectified = head.inputs[0], sampler.outputs[0]
    score, class_scores = _other_outputs(model.name, trace, theta, rectified)
    if any(features is tensor for tensor in score.values()):
        raise ModelFileError(
            f"{model.name}: {trace.maker(features).description} gives both the score and all that theta is made from; "
            "a pose needs features of its own"
        )
    trunk_layers = trace.steps_between([trace.frame], [features, *score.values()])
    check_layers(model.name, [*trunk_layers, *trace.steps_between([rectified], list(class_scores.values()))])
    whole = keras.Model(trace.frame, {"rectified": rectified, "theta": theta, **score, **class_scores})
    trunk = keras.Model(trace.frame, {"features": features, **score})
    recognizer = keras.Model(rectified, class_scores) if class_scores else None
    parts = StnParts(
        trunk=_inference(trunk),
        recognizer=None if recognizer is None else _inference(recognizer),
        whole=_inference(whole),
        kernel=np.asarray(dense.kernel),
        bias=np.zeros(dense.units, np.float32) if dense.bias is None else np.asarray(dense.bias),
        transform=transform,
        padding=sampler.operation.padding,
        input_size=(height, width),
        output_size=generator.operation.output_size,
        channels=channels,
        classes=int(class_scores["class_scores"].shape[1]) if class_scores else None,
        batch=trace.frame.shape[0],
    )
    check_head(model.name, head.description, parts)
    return parts


def _the_sampler(name: str, trace: KerasTrace) -> TracedCall:
    samplers = [step for step in trace.steps if isinstance(step.operation, BilinearSampler)]
    if not samplers:
        raise ForeignLayersError(f"{name}: has no BilinearSampler layer")
    if len(samplers) != 1:
        earlier, later = samplers[:2]
        if any(trace.depends(tensor, earlier.outputs[0]) for tensor in later.inputs):
            relation = f"one after the other: {later.description} samples after {earlier.description}"
        else:
            relation = f"beside each other: {earlier.description} and {later.description}"
        raise ForeignLayersError(f"{name}: has {len(samplers)} samplers, {relation}; {SEVERAL_SAMPLERS}")
    return samplers[0]


def _other_outputs(name: str, trace: KerasTrace, theta: Any, rectified: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The score (of the trunk) and the class scores (of what follows the sampler) by their names, if they are there."""
    score: dict[str, Any] = {}
    class_scores: dict[str, Any] = {}
    for output in trace.outputs:
        if any(output is tensor for tensor in (theta, rectified, *score.values(), *class_scores.values())):
            continue
        maker = trace.maker(output)
        shape = tuple(output.shape)
        follows = trace.depends(output, rectified)
        size = (shape[1] or 0) if len(shape) == 2 else 0  # how many numbers a frame has; 0: not a row of numbers
        scores, fits = (class_scores, size > 1) if follows else (score, size == 1)
        if not fits or scores:
            expected = "the class scores of a recognizer [batch, classes]" if follows else "a score [batch, 1]"
            raise ForeignLayersError(
                f"{name}: output of {maker.description}, shape {list(shape)}, is neither the rectified image, theta "
                f"nor {expected}{', of which there is one already' if scores and fits else ''}; "
                f"{output_remedy(shape, follows=follows)}"
            )
        if follows and (bypass := trace.bypass(output, rectified)) is not None:
            raise ForeignLayersError(
                f"{name}: {maker.description} sees not only the rectified image but also the output of {bypass}; "
                "a recognizer must see the rectified image alone"
            )
        scores["class_scores" if follows else "score"] = output
    return score, class_scores


def _inference(model: keras.Model) -> TensorFunction:
    def run(tensor: Any) -> dict[str, Any]:
        outputs: dict[str, Any] = model(tensor, training=False)
        return outputs

    return run
