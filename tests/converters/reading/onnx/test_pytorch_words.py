"""Refusals of ONNX files: what to do about them, for who uses PyTorch."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from stn_rectify import converters
from stn_rectify.converters.conversion import convert
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.reading.onnx.pytorch_words import _WORDS, in_pytorch
from stn_rectify.runtime.errors import ModelFileError
from tests.converters.reading.onnx.onnx_models import node, saved, stn

OF_KERAS = re.compile(r"keras[.]|Dense|Normalization|Conv[123]D|Pooling|UpSampling|dilation_rate|as Keras")
CONVERTERS = Path(inspect.getfile(converters)).parent
#: Code that speaks of networks of both: what it refuses of an ONNX file is said by `in_pytorch`.
SHARED = [
    *(CONVERTERS / "reading/foreign").glob("*.py"),
    *(CONVERTERS / "reading" / f"{name}.py" for name in ("composite_parts", "graph_check", "stn_parts")),
    CONVERTERS / "reading/measured_sampler.py",
    CONVERTERS / "tflite/substitutes.py",
]


def said_by(file):
    """The strings of a module that are no docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in alone)
    return [node.value for node in constants if isinstance(node.value, str)]


@pytest.mark.parametrize("file", SHARED, ids=lambda file: file.stem)
def test_nothing_that_shared_code_says_names_what_only_keras_has(file):
    messages = [in_pytorch(text).replace("NAME.recognizer.keras", "") for text in said_by(file) if " " in text]
    assert [message for message in messages if OF_KERAS.search(message)] == []


def test_all_words_that_are_replaced_are_said_by_shared_code():
    """Else a message was changed, and its remedy is said in words of Keras again."""
    said = [text for file in SHARED for text in said_by(file)]
    assert [words for words in _WORDS if not any(words in text for text in said)] == []


def test_names_of_the_file_stay():
    message = "net: node '/Dense/Conv2D' (BatchNormalization) is refused; replace it by BatchNormalization"
    assert in_pytorch(message) == message.removesuffix("BatchNormalization") + "BatchNorm2d"


def with_class_put_out():
    """A network that gives its scores as whole numbers, too."""
    made = stn()
    made.graph.node.append(node("Cast", "out", "label", to=TensorProto.INT32))
    made.graph.output.add(name="label")
    return made


def with_normalization():
    """A network that normalizes each image."""
    made = stn(before=[node("InstanceNormalization", "frame ones ones", "seen")], seen="seen")
    made.graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float32), "ones"))
    return made


REFUSED = {
    "an output without a place": (
        with_class_put_out(), r"int32.*export a module whose forward\(\) returns only the outputs to keep$"
    ),
    "a normalization": (
        with_normalization(), r"'InstanceNormalization_seen' \(InstanceNormalization\).*replace it by BatchNorm2d"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_conversion_says_it_in_words_of_pytorch(tmp_path, name):
    made, message = REFUSED[name]
    np.savez(tmp_path / "frames.npz", frames=np.random.default_rng(1).integers(0, 256, (4, 20, 24, 3), np.uint8))
    source = saved(made, tmp_path / "net.onnx")
    with pytest.raises(ModelFileError, match=message) as refused:
        convert(source, tmp_path / "out", ConversionOptions(tmp_path / "frames.npz"))
    assert "\n" not in str(refused.value)
    assert "keras" not in str(refused.value)
