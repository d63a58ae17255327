"""What a layer or an operation that cannot become integers is to be replaced by: names that can, for messages.

Each is tried in the tests: what is named here is taken where the other was refused.
"""

from __future__ import annotations

from collections.abc import Iterable

_ANYTHING = "layers of Keras that have an INT8 operator (convolutions, pooling, Dense, relu)"

_BATCH_NORMALIZATION = "BatchNormalization"
_ALONG = "Conv1D or Dense layers, which see the whole sequence at once"
_CHOOSING = "keras.ops.maximum, minimum or relu, which choose without comparing"
_BILINEAR = "interpolation='bilinear' or 'nearest'"
_FLAT = "Conv2D and MaxPooling2D, the depth among the channels"
_LEAKY = "leaky_relu"
_PRODUCT = "a product (x * x)"

# By the class of a layer.
_OF_LAYERS = {
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "ConvLSTM1D", "Masking"), _ALONG),
    **dict.fromkeys(("ConvLSTM2D", "ConvLSTM3D"), "Conv2D layers"),
    **dict.fromkeys(
        ("LayerNormalization", "GroupNormalization", "UnitNormalization", "RMSNormalization", "Normalize", "Norm"),
        _BATCH_NORMALIZATION,
    ),
    **dict.fromkeys(("Conv3D", "Conv3DTranspose", "MaxPooling3D", "AveragePooling3D"), _FLAT),
    **dict.fromkeys(("AutoContrast", "Equalization", "Solarization"), f"{_BATCH_NORMALIZATION}, or leave it out"),
    **dict.fromkeys(("Resizing", "Resize", "UpSampling2D"), _BILINEAR),
    "Conv2DTranspose": "UpSampling2D and a Conv2D with that dilation_rate",
    "Discretization": "hard_sigmoid",
    "Argmax": "softmax",
    "ELU": "LeakyReLU",
    "MelSpectrogram": "Conv1D layers",
    "ReLU": "a plain ReLU or LeakyReLU: a threshold is the bias before it, a bound is keras.ops.minimum behind it",
    "STFTSpectrogram": "Conv1D layers",
}

# By the name of an activation.
_OF_ACTIVATIONS = {
    "elu": _LEAKY,
    "selu": f"{_LEAKY} and {_BATCH_NORMALIZATION}",
    "softplus": "relu",
    "softsign": "tanh",
    "mish": "silu",
    "log_sigmoid": "sigmoid",
    "hard_shrink": "tanh_shrink",
    "soft_shrink": "tanh_shrink",
    "squareplus": "relu",
    "sparse_plus": "relu",
    "sparsemax": "softmax",
    "sparse_sigmoid": "hard_sigmoid",
}

# By the operation, as TensorFlow Lite or TensorFlow calls it: in small letters, without anything between them. What
# tells most of a layer made of many comes first.
_OF_OPERATIONS = {
    **dict.fromkeys(("while", "if", "call", "unidirectionalsequencelstm", "lstm"), _ALONG),
    **dict.fromkeys(("rfft2d", "rfft", "fft", "fft2d"), "Conv1D or Conv2D layers"),
    **dict.fromkeys(("conv3d", "conv3dtranspose", "maxpool3d", "avgpool3d"), _FLAT),
    **dict.fromkeys(("resizebicubic", "resizearea", "scaleandtranslate"), _BILINEAR),
    "conv2dbackpropinput": _OF_LAYERS["Conv2DTranspose"],
    "bucketize": "hard_sigmoid",
    **dict.fromkeys(("topkv2", "sort"), "keras.ops.max or MaxPooling"),
    **dict.fromkeys(("argmax", "argmin"), "softmax"),
    **dict.fromkeys(("cumsum", "cumprod"), "a Dense layer"),
    "elu": _LEAKY,
    "selu": _OF_ACTIVATIONS["selu"],
    "softplus": "relu",
    "softsign": "tanh",
    **dict.fromkeys(("erf", "erfc"), "tanh, or gelu as Keras has it"),
    **dict.fromkeys(
        ("sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh"),
        "tanh, or let the network give the numbers themselves",
    ),
    **dict.fromkeys(("log", "log1p"), "silu or relu"),
    "sqrt": "keras.ops.abs and its mean, where it is part of a norm, or BatchNormalization",
    **dict.fromkeys(("floor", "ceil", "round", "rint"), "nothing: leave it out, INT8 rounds by itself"),
    "sign": "tanh",
    **dict.fromkeys(("floormod", "floordiv", "mod"), "keras.ops.clip"),
    **dict.fromkeys(("reduceprod", "prod"), "products of slices (a * b)"),
    **dict.fromkeys(("square", "pow"), _PRODUCT),
    **dict.fromkeys(("div", "realdiv", "reciprocal"), "a product with what keras.ops.rsqrt gives, or with a constant"),
    **dict.fromkeys(("gathernd", "gather", "gatherv2"), "slices or keras.ops.take at constant places"),
    "neg": "a product with -1 (-1.0 * x)",
    **dict.fromkeys(
        (
            "greater", "greaterequal", "less", "lessequal", "equal", "notequal", "select", "selectv2", "where",
            "logicalnot", "logicaland", "logicalor", "reduceany", "reduceall",
        ),
        _CHOOSING,
    ),
}  # fmt: skip


def substitute(operations: Iterable[str], layer: str = "", activation: str = "") -> str:
    """What to put in the place of something that was refused.

    Args:
        operations: those that have no INT8 operator, as TensorFlow Lite or TensorFlow calls them (``"REDUCE_PROD"``,
            ``"Softsign"``).
        layer: the class of the Keras layer that they are of, if known.
        activation: the name of its activation, if that is the reason.

    Returns:
        Names of layers or functions that can become integers; the usual ones where nothing is nearer.
    """
    if activation in _OF_ACTIVATIONS:
        return _OF_ACTIVATIONS[activation]
    if layer in _OF_LAYERS:
        return _OF_LAYERS[layer]
    given = {operation.replace("_", "").lower() for operation in operations}
    return next((named for operation, named in _OF_OPERATIONS.items() if operation in given), _ANYTHING)


def has_int8(operation: str) -> bool:
    """Tells of an operation of TensorFlow whether nothing here says that it has no INT8 operator."""
    return operation.lower() not in _OF_OPERATIONS
