"""Operators on each number: sums, products, activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from stn_rectify.converters.reading.onnx.laid_out import Operand, Value, alike, laid, shape_of
from stn_rectify.converters.reading.onnx.operators.call import Call
from stn_rectify.runtime.arrays import Array


def _of_one(function: Callable[[Any], Any]) -> Callable[[Call], Value]:
    def apply(call: Call) -> Value:
        value = call.value(0)
        return Value(function(value.tensor), value.axes, value.columns)

    return apply


def _of_several(function: Callable[[Any, Any], Any]) -> Callable[[Call], Value]:
    def apply(call: Call) -> Value:
        operands = [_of_batch_1(call, call.operand(number)) for number in range(len(call.inputs))]
        tensors, result = alike(operands)
        found = tensors[0]
        for tensor in tensors[1:]:
            found = function(found, tensor)
        return Value(found, result.axes, result.columns)

    return apply


def _of_batch_1(call: Call, operand: Operand) -> Operand:
    """A constant that was repeated for each frame of an exported batch, once."""
    if isinstance(operand, Value) or call.batch in (None, 1) or operand.shape[:1] != (call.batch,):
        return operand
    rank = max(len(shape_of(call.operand(number))) for number in range(len(call.inputs)))
    return operand[:1] if operand.ndim == rank and (operand == operand[:1]).all() else operand


def _pow(base: Any, exponent: Any) -> Any:
    is_square = not tf.is_tensor(exponent) and np.all(exponent == 2)
    if is_square:
        return base * base
    return tf.pow(base, exponent if tf.is_tensor(exponent) else np.asarray(exponent, np.float32))


def _mod(call: Call) -> Value:
    """The remainder with the sign of the divisor; with ``fmod`` that of the dividend."""
    return _of_several(tf.truncatemod if call.attribute("fmod", 0) else tf.math.floormod)(call)


def _clip(call: Call) -> Value:
    value = call.value(0)
    low, high = (call.setting(name, number) for name, number in (("min", 1), ("max", 2)))
    tensor = value.tensor
    if low == 0 and high == 6:
        tensor = tf.nn.relu6(tensor)
    elif low == 0 and high is None:
        tensor = tf.nn.relu(tensor)
    else:
        tensor = tensor if high is None else tf.minimum(tensor, tf.cast(high, tensor.dtype))
        tensor = tensor if low is None else tf.maximum(tensor, tf.cast(low, tensor.dtype))
    return Value(tensor, value.axes, value.columns)


def _leaky_relu(call: Call) -> Value:
    return _of_one(lambda x: tf.nn.leaky_relu(x, call.attribute("alpha", 0.01)))(call)


def _prelu(call: Call) -> Value:
    slope = np.asarray(call.constant(1, "slopes"), np.float32)
    (x, alpha), result = alike([call.value(0), slope])
    alpha = np.asarray(alpha)
    alpha = alpha.reshape(alpha.shape[1:]) if alpha.ndim == x.shape.rank else alpha
    return Value(tf.nn.relu(x) + -alpha * tf.nn.relu(-x), result.axes, result.columns)  # TensorFlow makes it PRELU


def _hard_sigmoid(call: Call) -> Value:
    alpha, beta = call.attribute("alpha", 0.2), call.attribute("beta", 0.5)
    if abs(6 * alpha - 1) < 1e-5 and beta == 0.5:
        return _of_one(lambda x: tf.nn.relu6(x + 3.0) * (1 / 6))(call)
    return _of_one(lambda x: tf.minimum(tf.nn.relu(alpha * x + beta), 1.0))(call)


def _gelu(call: Call) -> Value:
    return _of_one(lambda x: tf.nn.gelu(x, approximate=call.attribute("approximate", "none") == "tanh"))(call)


def _softmax(function: Callable[[Any], Any]) -> Callable[[Call], Value]:
    def apply(call: Call) -> Value:
        value = call.value(0)
        rank = len(value.axes)
        axis = int(call.attribute("axis", -1)) % rank
        last = (*(k for k in range(rank) if k != axis), axis)
        return Value(function(value.laid(last)), last)

    return apply


def _cast(call: Call) -> Value:
    from onnx import helper

    return _as(call.value(0), helper.tensor_dtype_to_np_dtype(call.attribute("to")))


def _cast_like(call: Call) -> Value:
    like = call.operand(1)
    return _as(call.value(0), like.tensor.dtype if isinstance(like, Value) else like.dtype)


def _as(value: Value, wanted: Any) -> Value:
    """The value in another dtype; float32 in place of float64."""
    dtype = tf.as_dtype(wanted)
    dtype = tf.float32 if dtype == tf.float64 else dtype
    tensor = value.tensor if dtype == value.tensor.dtype else tf.cast(value.tensor, dtype)
    return Value(tensor, value.axes, value.columns)


def _batch_normalization(call: Call) -> Value:
    if call.attribute("training_mode", 0):
        call.refuse("is in training mode: call model.eval() before the export")
    value = call.value(0)
    scale, bias, mean, variance = (np.asarray(call.constant(k, "weights"), np.float64) for k in (1, 2, 3, 4))
    factor = scale / np.sqrt(variance + call.attribute("epsilon", 1e-5))
    ends = [_of_channels(part, value) for part in (factor, bias - mean * factor)]
    return Value(value.tensor * ends[0] + ends[1], value.axes, value.columns)


def _of_channels(numbers: Array, value: Value) -> Any:
    """A number for each channel, as the value lies."""
    numbers = np.asarray(numbers, np.float32)
    if value.columns is not None:
        return numbers[np.argsort(value.columns)]
    rank = len(value.axes)
    return numbers if value.axes[-1] == 1 else laid(numbers.reshape(-1, *[1] * (rank - 2)), value.axes)


def _dropout(call: Call) -> Value:
    training = call.given(2)
    if isinstance(training, Value) or (training is not None and training.any()):
        call.refuse("is in training mode: call model.eval() before the export")
    return call.value(0)


def _where(call: Call) -> Value:
    (condition, first, second), result = alike([call.operand(number) for number in range(3)])
    return Value(tf.where(condition, first, second), result.axes, result.columns)


EACH_NUMBER: dict[str, Callable[[Call], Value]] = {
    "Add": _of_several(tf.add),
    "Sub": _of_several(tf.subtract),
    "Mul": _of_several(tf.multiply),
    "Div": _of_several(tf.divide),
    "Max": _of_several(tf.maximum),
    "Min": _of_several(tf.minimum),
    "Sum": _of_several(tf.add),
    "Pow": _of_several(_pow),
    "Mod": _mod,
    "Equal": _of_several(tf.equal),
    "Greater": _of_several(tf.greater),
    "GreaterOrEqual": _of_several(tf.greater_equal),
    "Less": _of_several(tf.less),
    "LessOrEqual": _of_several(tf.less_equal),
    "And": _of_several(tf.logical_and),
    "Or": _of_several(tf.logical_or),
    "Not": _of_one(tf.logical_not),
    "Where": _where,
    "Abs": _of_one(tf.abs),
    "Acos": _of_one(tf.acos),
    "Atan": _of_one(tf.atan),
    "Ceil": _of_one(tf.math.ceil),
    "Cos": _of_one(tf.cos),
    "Elu": lambda call: (
        call.refuse("has an alpha of its own; replace it by leaky_relu")
        if call.attribute("alpha", 1.0) != 1
        else _of_one(tf.nn.elu)(call)
    ),
    "Erf": _of_one(tf.math.erf),
    "Exp": _of_one(tf.exp),
    "Floor": _of_one(tf.floor),
    "Log": _of_one(tf.math.log),
    "Neg": _of_one(lambda x: x * -1.0),
    "Reciprocal": _of_one(tf.math.reciprocal),
    "Round": _of_one(tf.round),
    "Selu": _of_one(tf.nn.selu),
    "Sign": _of_one(tf.sign),
    "Sin": _of_one(tf.sin),
    "Softplus": _of_one(tf.nn.softplus),
    "Softsign": _of_one(tf.nn.softsign),
    "Sqrt": _of_one(tf.sqrt),
    "Tan": _of_one(tf.tan),
    "Relu": _of_one(tf.nn.relu),
    "LeakyRelu": _leaky_relu,
    "PRelu": _prelu,
    "Clip": _clip,
    "Sigmoid": _of_one(tf.sigmoid),
    "Tanh": _of_one(tf.tanh),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _of_one(lambda x: x * tf.nn.relu6(x + 3.0) * (1 / 6)),
    "Swish": _of_one(tf.nn.silu),
    "Mish": _of_one(lambda x: x * tf.tanh(tf.nn.softplus(x))),
    "Gelu": _gelu,
    "Softmax": _softmax(tf.nn.softmax),
    "LogSoftmax": _softmax(tf.nn.log_softmax),
    "Cast": _cast,
    "CastLike": _cast_like,
    "Identity": lambda call: call.value(0),
    "Dropout": _dropout,
    "BatchNormalization": _batch_normalization,
}
