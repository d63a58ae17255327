"""Refusals of ONNX files: what to do about them, for who uses PyTorch."""

from __future__ import annotations

import re

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from stn_rectify.converters.conversion import convert
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.reading.onnx.pytorch_words import in_pytorch
from stn_rectify.converters.reading.stn_parts import SEVERAL_SAMPLERS, output_remedy
from stn_rectify.converters.tflite import substitutes
from stn_rectify.runtime.errors import ModelFileError
from tests.converters.reading.onnx.onnx_models import node, saved, stn

OF_KERAS = re.compile(r"keras[.]|Dense|Normalization|Conv[123]D|Pooling|UpSampling|dilation_rate|as Keras")
REMEDIES = {
    *substitutes._OF_LAYERS.values(), *substitutes._OF_ACTIVATIONS.values(), *substitutes._OF_OPERATIONS.values(),
    substitutes._ANYTHING, SEVERAL_SAMPLERS, output_remedy((1, 5, 7), follows=True),
    output_remedy((1, 5, 7, 2), follows=True), output_remedy((1,), follows=False),
}  # fmt: skip


@pytest.mark.parametrize("remedy", sorted(REMEDIES))
def test_no_remedy_of_shared_code_names_what_only_keras_has(remedy):
    said = in_pytorch(f"net: it is refused; replace it by {remedy}").replace("NAME.recognizer.keras", "")
    assert not OF_KERAS.search(said)


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
