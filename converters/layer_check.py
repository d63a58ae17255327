"""Whether every layer has an integer form, found out before any long work: by kind, or by converting it alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from stn_rectify.converters.builtin_operators import TFLITE_RUNTIME, VERSIONS
from stn_rectify.converters.flatbuffer_model import DTYPES, operator_name, read_model
from stn_rectify.converters.keras_trace import Step
from stn_rectify.converters.quantizer import quantize, to_tflite
from stn_rectify.runtime.errors import ModelFileError
from stn_rectify.runtime.operators import ALLOWED

__all__ = ["check_layers"]

# Layers and activations that are known to become int8 operators; anything else is tried alone.
_KNOWN = (
    layers.Activation, layers.Add, layers.AveragePooling2D, layers.BatchNormalization, layers.Concatenate,
    layers.Conv2D, layers.Cropping2D, layers.Dense, layers.DepthwiseConv2D, layers.Flatten,
    layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D, layers.LeakyReLU, layers.MaxPooling2D, layers.Multiply,
    layers.ReLU, layers.Rescaling, layers.Reshape, layers.SeparableConv2D, layers.Softmax, layers.Subtract,
    layers.UpSampling2D, layers.ZeroPadding2D,
)  # fmt: skip
_KNOWN_ACTIVATIONS = ("linear", "relu", "relu6", "sigmoid", "softmax", "tanh", "leaky_relu")


def check_layers(model: str, steps: Sequence[Step]) -> None:
    """Refuses a layer that cannot become integers.

    Raises:
        ModelFileError: names the layer and says why.
    """
    for step in steps:
        if _is_known(step):
            continue
        reason = _reason_against(step)
        if reason is not None:
            raise ModelFileError(f"{model}: {step.what} {reason}; replace it by one that has an INT8 operator")


def _is_known(step: Step) -> bool:
    activation = getattr(step.operation, "activation", None)
    name = getattr(activation, "__name__", "linear" if activation is None else "?")
    return type(step.operation) in _KNOWN and name in _KNOWN_ACTIVATIONS


def _reason_against(step: Step) -> str | None:
    """Converts the layer alone, on random input, and looks at the operators."""
    if any(None in t.shape[1:] for t in step.inputs):
        return f"has an input of unknown size, {[list(t.shape) for t in step.inputs]}"
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
        flatbuffer = quantize(alone, samples, (-3.0, 3.0), "layer")
    except ModelFileError as error:
        return f"cannot become integers ({error})"
    written = read_model(flatbuffer)
    floats = [t for graph in written.subgraphs for t in graph.tensors if "float" in DTYPES[t.type]]
    return _refused_operators(flatbuffer) or ("computes in float even after quantization" if floats else None)


def _refused_operators(flatbuffer: bytes) -> str | None:
    codes = [(operator_name(code), int(code.version)) for code in read_model(flatbuffer).operatorCodes]
    refused = sorted({name for name, _ in codes if name not in ALLOWED and name != "DEQUANTIZE"})
    if refused:
        return f"needs {', '.join(refused)}, which has no place in an all-integer network"
    newer = [f"{name} v{version}" for name, version in codes if version > VERSIONS.get(name, version)]
    return f"needs {', '.join(newer)}, which tflite-runtime {TFLITE_RUNTIME} lacks" if newer else None
