"""The built-in operators of TensorFlow Lite that a model file may use.

Allowed are the operators that stn-convert writes, and those of the layers a quantized trunk is made of: each computes
its outputs from its inputs and nothing else. So a file that is not ours cannot loop for ever, keep state from frame
to frame, or draw random numbers.
"""

from __future__ import annotations

__all__ = ["ALLOWED", "ALLOWED_IN_RECOGNIZERS", "operator_name"]

# Head, grid and sampler, as stn_rectify.converters writes them.
_WRITTEN = {
    "ADD": 0,
    "BITCAST": 159,
    "CAST": 53,
    "CONCATENATION": 2,
    "DIV": 42,
    "FILL": 94,
    "GATHER": 36,
    "MAXIMUM": 55,
    "MINIMUM": 57,
    "MUL": 18,
    "PADV2": 60,
    "RESHAPE": 22,
    "RIGHT_SHIFT": 161,
    "SLICE": 65,
    "SPLIT": 49,
    "SUB": 41,
    "SUM": 74,
    "TILE": 69,
    "TRANSPOSE": 39,
}

# What TensorFlow's converter makes of the layers of a quantized trunk.
_TRUNK = {
    "ABS": 101,
    "AVERAGE_POOL_2D": 1,
    "BATCH_MATMUL": 126,
    "BATCH_TO_SPACE_ND": 37,
    "BROADCAST_TO": 130,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 4,
    "DEPTH_TO_SPACE": 5,
    "ELU": 111,
    "EQUAL": 71,
    "EXP": 47,
    "EXPAND_DIMS": 70,
    "FULLY_CONNECTED": 9,
    "GELU": 150,
    "GREATER": 61,
    "GREATER_EQUAL": 62,
    "HARD_SWISH": 117,
    "L2_NORMALIZATION": 11,
    "LEAKY_RELU": 98,
    "LESS": 58,
    "LESS_EQUAL": 63,
    "LOGISTIC": 14,
    "LOG_SOFTMAX": 50,
    "MAX_POOL_2D": 17,
    "MEAN": 40,
    "MIRROR_PAD": 100,
    "NEG": 59,
    "NOT_EQUAL": 72,
    "PACK": 83,
    "PAD": 34,
    "PRELU": 54,
    "QUANTIZE": 114,
    "REDUCE_MAX": 82,
    "REDUCE_MIN": 89,
    "RELU": 19,
    "RELU6": 21,
    "RELU_0_TO_1": 152,
    "RELU_N1_TO_1": 20,
    "RESIZE_BILINEAR": 23,
    "RESIZE_NEAREST_NEIGHBOR": 97,
    "REVERSE_V2": 105,
    "RSQRT": 76,
    "SELECT": 64,
    "SELECT_V2": 123,
    "SHAPE": 77,
    "SOFTMAX": 25,
    "SPACE_TO_BATCH_ND": 38,
    "SPACE_TO_DEPTH": 26,
    "SPLIT_V": 102,
    "SQUARED_DIFFERENCE": 99,
    "SQUEEZE": 43,
    "STRIDED_SLICE": 45,
    "TANH": 28,
    "TRANSPOSE_CONV": 67,
    "UNPACK": 88,
}

# Besides these, of recognizers that were made elsewhere: float networks, weights kept in half precision.
_RECOGNIZER = {"DEQUANTIZE": 6, "LOG": 73, "POW": 78, "SQRT": 75, "SQUARE": 92}

# Not allowed; only to name them in messages. Others are named by their number.
_REFUSED = {
    "ASSIGN_VARIABLE": 144,
    "CALL": 31,
    "CALL_ONCE": 129,
    "DELEGATE": 51,
    "GATHER_ND": 107,
    "HASHTABLE": 136,
    "HASHTABLE_FIND": 137,
    "HASHTABLE_IMPORT": 138,
    "HASHTABLE_LOOKUP": 10,
    "HASHTABLE_SIZE": 139,
    "IF": 118,
    "LSTM": 16,
    "MULTINOMIAL": 149,
    "RANDOM_STANDARD_NORMAL": 146,
    "RANDOM_UNIFORM": 148,
    "READ_VARIABLE": 143,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 44,
    "VAR_HANDLE": 142,
    "WHILE": 119,
}

#: Operators that a model file may use: name → number in ``BuiltinOperator`` of TensorFlow's ``schema.fbs``.
ALLOWED = {**_WRITTEN, **_TRUNK}
#: Those that a recognizer's file may use.
ALLOWED_IN_RECOGNIZERS = {**ALLOWED, **_RECOGNIZER}


def operator_name(number: int) -> str:
    """``"WHILE"``, or ``"number 203"`` where the name is not known here."""
    names = {value: name for name, value in {**ALLOWED_IN_RECOGNIZERS, **_REFUSED}.items()}
    return names.get(number, f"number {number}")
