"""The check that every layer has an integer form, before any long work: by its kind, or by converting it alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from stn_rectify.converters.reading.keras_trace import TracedCall
from stn_rectify.converters.tflite.builtin_operators import TFLITE_RUNTIME, VERSIONS
from stn_rectify.converters.tflite.object_tree import DTYPES, operator_name, read_model
from stn_rectify.converters.tflite.quantizer import float_operators, quantize, to_tflite
from stn_rectify.converters.tflite.substitutes import substitute
from stn_rectify.models.network.turn import QuarterTurns, TurnsApart
from stn_rectify.runtime.errors import ModelFileError
from stn_rectify.runtime.model.operators import ALLOWED

# Layers, activations and operations that are known to become int8 operators; anything else is tried alone.
_KNOWN = (
    layers.Activation, layers.Add, layers.Average, layers.AveragePooling2D, layers.BatchNormalization,
    layers.Concatenate, layers.Conv1D, layers.Conv2D, layers.Conv2DTranspose, layers.Cropping2D, layers.Dense,
    layers.DepthwiseConv2D, layers.Flatten, layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D,
    layers.LeakyReLU, layers.MaxPooling2D, layers.Maximum, layers.Minimum, layers.Multiply, layers.Normalization,
    layers.PReLU, layers.Permute, layers.ReLU, layers.Rescaling, layers.Reshape, layers.Resizing,
    layers.SeparableConv2D, layers.Softmax, layers.Subtract, layers.UpSampling2D, layers.ZeroPadding2D,
    QuarterTurns, TurnsApart,
)  # fmt: skip
_KNOWN_ACTIVATIONS = (
    "linear", "relu", "relu6", "sigmoid", "softmax", "tanh", "leaky_relu", "silu", "hard_sigmoid", "hard_silu",
    "gelu",
)  # fmt: skip
# Of keras.ops, whose classes have no public name.
_KNOWN_OPERATIONS = {
    "keras.src.ops.nn": ("Gelu", "HardSigmoid", "HardSilu", "Relu", "Relu6", "Sigmoid", "Silu"),
    "keras.src.ops.numpy": ("Add", "Clip", "Maximum", "Minimum", "Multiply", "Subtract", "Tanh"),
}
# Arguments with which a known layer is known; with others it is tried.
_KNOWN_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "data_format": ("channels_last",),
    "interpolation": ("nearest", "bilinear"),
    "negative_slope": (0.0,),  # of a ReLU; LeakyReLU is known with any
    "threshold": (0.0,),
}
_MOST_DIMENSIONS = 4

#: Why a layer is refused, and the operations that are to blame.
_Refusal = tuple[str, list[str]]


def check_layers(model: str, steps: Sequence[TracedCall]) -> None:
    """Refuses a layer that cannot become integers. Of equal layers one is tried.

    Raises:
        ModelFileError: if a layer cannot; the message names it and says why.
    """
    tried = set()
    for step in steps:
        if _is_known(step) or (kind := _kind(step)) in tried:
            continue
        refusal = _refusal(step)
        if refusal is not None:
            reason, operators = refusal
            instead = substitute(operators, type(step.operation).__name__, _odd_activation(step))
            raise ModelFileError(f"{model}: {_description(step)} {reason}; replace it by {instead}")
        tried.add(kind)


def _is_known(step: TracedCall) -> bool:
    operation = step.operation
    if any(len(t.shape) > _MOST_DIMENSIONS or t.dtype != "float32" for t in step.inputs):
        return False
    if not isinstance(operation, layers.Layer):
        return type(operation).__name__ in _KNOWN_OPERATIONS.get(type(operation).__module__, ())
    if type(operation) not in _KNOWN or _activation(operation) not in _KNOWN_ACTIVATIONS:
        return False
    if isinstance(operation, layers.Conv2DTranspose) and set(operation.dilation_rate) != {1}:
        return False
    return isinstance(operation, layers.LeakyReLU) or all(
        getattr(operation, name, values[0]) in values for name, values in _KNOWN_ARGUMENTS.items()
    )


def _activation(operation: Any) -> str:
    activation = getattr(operation, "activation", None)
    return "linear" if activation is None else str(getattr(activation, "__name__", type(activation).__name__))


def _description(step: TracedCall) -> str:
    """The call by name and kind, and its activation where that is not one of `_KNOWN_ACTIVATIONS`."""
    activation = _odd_activation(step)
    return f"{step.description[:-1]}, activation {activation})" if activation else step.description


def _odd_activation(step: TracedCall) -> str:
    activation = _activation(step.operation)
    return "" if activation in _KNOWN_ACTIVATIONS else activation


def _kind(step: TracedCall) -> str:
    """Equal for calls that become the same operators: all but names, weights and how large the inputs are."""
    operation = step.operation
    if isinstance(operation, layers.Layer):
        config = {key: value for key, value in operation.get_config().items() if key != "name"}
    else:
        config = {key: value for key, value in vars(operation).items() if key != "name" and key[0] != "_"}

    def described(argument: Any) -> Any:
        if not isinstance(argument, keras.KerasTensor):
            return argument
        # A dimension of 1 is told from others: it may be repeated.
        return f"{argument.dtype} {[n if n == 1 else 'n' for n in argument.shape[1:]]}"

    return repr((type(operation), config, keras.tree.map_structure(described, step.arguments)))


def _refusal(step: TracedCall) -> _Refusal | None:
    """Converts the layer alone, on random input, and looks at the operators."""
    if any(None in t.shape[1:] for t in step.inputs):
        return f"has an input of unknown size, {[list(t.shape) for t in step.inputs]}", []
    # The quantizer's input is one tensor: the layer's inputs lie one after another in it.
    sizes = [int(np.prod(t.shape[1:])) for t in step.inputs]

    def alone(image: Any) -> dict[str, Any]:
        parts = tf.split(tf.reshape(image, (1, sum(sizes))), sizes, axis=1)
        tensors = {
            id(t): tf.cast(tf.reshape(part, (1, *t.shape[1:])), t.dtype)
            for t, part in zip(step.inputs, parts, strict=True)
        }
        args, kwargs = keras.tree.map_structure(lambda t: tensors.get(id(t), t), step.arguments)
        outputs = step.operation(*args, **kwargs)
        return {f"output_{k}": tensor for k, tensor in enumerate(keras.tree.flatten(outputs))}

    samples = np.random.default_rng(0).normal(0, 1, (8, 1, sum(sizes), 1)).astype(np.float32)
    try:
        # In float first: quantizing an operator that calls other graphs kills the process.
        refused = _refused_operators(to_tflite(alone, samples.shape[1:], "layer"))
        if refused is not None:
            return refused
        flatbuffer = quantize(alone, samples, (-3.0, 3.0), "layer", checked=False)
    except ModelFileError as error:
        operation = getattr(error, "operation", None)
        return f"cannot become integers ({error})", [operation] if operation else []
    refused = _refused_operators(flatbuffer)
    if refused is not None:
        return refused
    floats = float_operators(flatbuffer)
    if floats:
        return "computes in float even after quantization", list(floats)
    dtypes = {DTYPES[t.type] for graph in read_model(flatbuffer).subgraphs for t in graph.tensors}
    return ("compares numbers, and bool tensors are no integers", ["SELECT"]) if "bool" in dtypes else None


def _refused_operators(flatbuffer: bytes) -> _Refusal | None:
    codes = [(operator_name(code), int(code.version)) for code in read_model(flatbuffer).operatorCodes]
    refused = sorted({name for name, _ in codes if name not in ALLOWED and name != "DEQUANTIZE"})
    if refused:
        return f"needs {', '.join(refused)}, which has no place in an all-integer network", refused
    newer = [(name, f"{name} v{version}") for name, version in codes if version > VERSIONS.get(name, 0)]
    if not newer:
        return None
    names, versions = zip(*newer, strict=True)
    return f"needs {', '.join(versions)}, which tflite-runtime {TFLITE_RUNTIME} lacks", list(names)
