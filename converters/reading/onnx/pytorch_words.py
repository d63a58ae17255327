"""What to do about a refused network, as shared code says it to who uses Keras, said to who uses PyTorch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stn_rectify.models.files import ONNX_SUFFIX
from stn_rectify.runtime.errors import ModelFileError

_FORWARD = "export a module whose forward() returns"

# Whole remedies first, then the names in them; a name that begins another stands behind it.
_WORDS = {
    "save each as a model of its own, keras.Model(its frame, [its image, its theta])": (
        f"for each {_FORWARD} its image and its theta"
    ),
    "save the model without it: keras.Model(model.input, [the outputs to keep])": (
        f"{_FORWARD} only the outputs to keep"
    ),
    "save what follows the rectified image as a model of its own, NAME.recognizer.keras, and the model up to the "
    "rectified image as NAME.keras": (
        f"{_FORWARD} the rectified image; what reads texts from it is taken from Keras only, NAME.recognizer.keras"
    ),
    "save the model with the sampler's own image as the output, without the layers behind it": (
        f"{_FORWARD} what grid_sample gives, without the layers behind it"
    ),
    "save the model with the rectified image as an output": f"{_FORWARD} the rectified image, too",
    "a recognizer of its own is called NAME.recognizer.keras": "a recognizer of its own is taken from Keras only",
    "give the .keras file, or export the model with the dtype policy float32": "export it after model.float()",
    "layers of Keras that have an INT8 operator (convolutions, pooling, Dense, relu)": (
        "layers that have an INT8 operator (Conv2d, MaxPool2d, AvgPool2d, Linear, ReLU)"
    ),
    "Conv1D or Dense": "Linear",
    "Conv1D or Conv2D layers": "Conv2d layers",
    "Conv1D layers": "Conv2d layers",
    "keras.ops.maximum, minimum or relu": "torch.maximum, minimum or relu",
    "keras.ops.abs and its mean, where it is part of a norm, or BatchNormalization": (
        "torch.abs and its mean, where it is part of a norm, or BatchNorm2d"
    ),
    "a product with what keras.ops.rsqrt gives, or with a constant": "a product with a constant",
    "slices or keras.ops.take at constant places": "slices or torch.index_select at constant places",
    "tanh, or gelu as Keras has it": "Tanh, or GELU",
    "a bound is keras.ops.minimum behind it": "a bound is torch.clamp behind it",
    "interpolation='bilinear' or 'nearest'": "interpolate(mode='bilinear') or 'nearest'",
    "UpSampling2D and a Conv2D with that dilation_rate": "interpolate and a Conv2d with that dilation",
    "keras.ops.max or MaxPooling": "torch.amax or MaxPool2d",
    "keras.ops.clip": "torch.clamp",
    "Conv2D": "Conv2d",
    "MaxPooling2D": "MaxPool2d",
    "BatchNormalization": "BatchNorm2d",
    "Dense": "Linear",
    "hard_sigmoid": "Hardsigmoid",
    "tanh_shrink": "Tanh",
    "leaky_relu": "LeakyReLU",
    "silu": "SiLU",
}
_QUOTED = r"(?<!\w)'[^']*'"
_ANY = re.compile("|".join([_QUOTED, *(rf"(?<![A-Za-z.(]){re.escape(words)}(?![A-Za-z])" for words in _WORDS)]))


def in_pytorch(message: str) -> str:
    """A message whose remedies name modules and functions of PyTorch where they named those of Keras.

    Nodes of the file, in quotation marks and parentheses, keep their names.
    """
    return _ANY.sub(lambda found: _WORDS.get(found[0], found[0]), message)


@contextmanager
def pytorch_words(source: Path) -> Iterator[None]:
    """Says what is refused of an ONNX file in the block as `in_pytorch` does; of another file, as it was.

    Args:
        source: the file.

    Raises:
        ModelFileError: with these words, in the place of one.
    """
    try:
        yield
    except ModelFileError as error:
        if source.suffix != ONNX_SUFFIX:
            raise
        raise ModelFileError(in_pytorch(str(error))) from error
