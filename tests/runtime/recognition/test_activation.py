"""Whether a recognizer's numbers are probabilities or logits: read off files that TensorFlow's converter writes."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stn_rectify.runtime import Recognizer
from stn_rectify.runtime.model.flatbuffer import Operator, OperatorCode, Subgraph, Tensor, read_flatbuffer
from stn_rectify.runtime.model.operators import ALLOWED_IN_RECOGNIZERS
from stn_rectify.runtime.recognition.recognizer_file import RecognizerFile, score_activation

tf = pytest.importorskip("tensorflow")

IMAGE = np.arange(0, 240, 40, dtype=np.uint8).reshape(2, 3)
ENDS: dict[str, Callable[[Any], Any]] = {
    "softmax": tf.nn.softmax,
    "sigmoid": tf.sigmoid,
    "log_softmax": tf.nn.log_softmax,
    "nothing": tf.identity,
    "clip": lambda x: tf.clip_by_value(x, 0.0, 1.0),
    "relu": tf.nn.relu,
    "softmax, turned": lambda x: tf.transpose(tf.nn.softmax(tf.reshape(x, (1, 2, 3))), (0, 2, 1)),
    "clipped softmax": lambda x: tf.clip_by_value(tf.nn.softmax(x), 0.01, 0.99),
    "softmax of two halves": lambda x: tf.concat([tf.nn.softmax(x[:, :3]) / 2, tf.nn.softmax(x[:, 3:]) / 2], 1),
    "mean of two": lambda x: (tf.nn.softmax(x) + tf.nn.softmax(-x)) / 2,
    "a part of a softmax": lambda x: tf.nn.softmax(x)[:, 1:],
    "shifted": lambda x: x * 0.5 + 1.0,
    "sigmoid, steps": lambda x: tf.sigmoid(tf.reshape(x, (1, 3, 2))),
}


def network(ends: str, dtype: str) -> bytes:
    """Six scores of the image [1, 2, 3, 1], some below 0 and some above 1, with something at the end.

    Args:
        ends: one of `ENDS`.
        dtype: of input and output; or ``"float from int8"`` for an INT8 network that gives float numbers.
    """
    values = tf.constant(np.linspace(-2, 3, 36, dtype=np.float32).reshape(6, 6))

    def compute(image: Any) -> dict[str, Any]:
        return {"scores": ENDS[ends](tf.matmul(tf.reshape(image, (1, 6)), values))}

    signature = [tf.TensorSpec((1, 2, 3, 1), tf.float32, name="image")]
    concrete = tf.function(compute, input_signature=signature).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    if dtype != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        samples = [(image.reshape(1, 2, 3, 1) / 255).astype(np.float32) for image in (IMAGE, 255 - IMAGE)]
        converter.representative_dataset = lambda: ([sample] for sample in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if dtype in ("int8", "uint8"):
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(dtype)
    content: bytes = converter.convert()
    return content


@pytest.mark.parametrize(
    ("ends", "dtype", "activation"),
    [
        ("softmax", "float32", "softmax"),
        ("softmax", "int8", "softmax"),
        ("softmax", "uint8", "softmax"),  # behind it an operator makes unsigned numbers
        ("softmax", "float from int8", "softmax"),  # and here float ones
        ("sigmoid", "float32", "sigmoid"),
        ("sigmoid", "int8", "sigmoid"),
        ("log_softmax", "float32", "logits"),
        ("log_softmax", "int8", "logits"),
        ("nothing", "float32", "logits"),
        ("nothing", "int8", "logits"),
        ("relu", "int8", "logits"),  # from 0, but far above 1
        ("clip", "int8", "softmax"),  # by the quantization alone
        ("clip", "uint8", "softmax"),
        ("clip", "float from int8", "softmax"),  # by that of the tensor before
        ("softmax, turned", "float32", "softmax"),
        ("softmax, turned", "int8", "softmax"),
        ("sigmoid, steps", "float32", "softmax"),  # in a step of a text they have to add up to 1
    ],
)
def test_the_graph_says_it_when_the_file_is_opened(tmp_path: Path, ends: str, dtype: str, activation: str) -> None:
    file = tmp_path / "scores.tflite"
    file.write_bytes(network(ends, dtype))
    labels = ("a", "b") if "," in ends else None
    assert RecognizerFile.open(file, labels).activation == activation


@pytest.mark.parametrize("ends", ["clipped softmax", "softmax of two halves", "mean of two", "a part of a softmax"])
def test_probabilities_that_the_graph_does_not_tell_are_known_before_the_first_image(tmp_path: Path, ends: str) -> None:
    file = tmp_path / "scores.tflite"
    file.write_bytes(network(ends, "float32"))
    assert RecognizerFile.open(file).activation is None
    logits = IMAGE.astype(np.float32).reshape(1, 6) / 255 @ np.linspace(-2, 3, 36, dtype=np.float32).reshape(6, 6)
    expected = np.asarray(ENDS[ends](tf.constant(logits)))[0]
    with Recognizer(file) as recognizer:
        np.testing.assert_allclose(recognizer.recognize(IMAGE).class_scores, expected / expected.sum(), atol=1e-5)


def test_logits_that_the_graph_does_not_tell_are_known_before_the_first_image(tmp_path: Path) -> None:
    file = tmp_path / "scores.tflite"
    file.write_bytes(network("shifted", "float32"))
    with Recognizer(file) as recognizer:
        scores = recognizer.recognize(IMAGE).class_scores
    logits = IMAGE.astype(np.float64).reshape(1, 6) / 255 @ np.linspace(-2, 3, 36).reshape(6, 6) * 0.5 + 1
    np.testing.assert_allclose(scores, (np.exp(logits) / np.exp(logits).sum())[0], atol=1e-5)


@pytest.mark.parametrize("ends", ["softmax", "log_softmax", "nothing"])
def test_all_ways_to_say_the_same_give_the_same_probabilities(tmp_path: Path, ends: str) -> None:
    logits = IMAGE.astype(np.float64).reshape(1, 6) / 255 @ np.linspace(-2, 3, 36).reshape(6, 6)
    expected = np.exp(logits[0]) / np.exp(logits[0]).sum()
    for dtype, error in (("float32", 1e-6), ("int8", 0.03)):
        file = tmp_path / "scores.tflite"
        file.write_bytes(network(ends, dtype))
        with Recognizer(file) as recognizer:
            np.testing.assert_allclose(recognizer.recognize(IMAGE).class_scores, expected, atol=error)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "logits"])
def test_the_metadata_wins_over_the_graph(tmp_path: Path, activation: str) -> None:
    flatbuffer = network("softmax", "int8")
    metadata = {
        "format": "stn-rectify-recognizer/1",
        "name": "scores",
        "description": "",
        "input": {
            "height": 1,
            "width": 6,
            "channels": 1,
            "colour": "GREY",
            "value_range": [0, 1],
            "scale": 1 / 255,
            "zero_point": -128,
        },
        "class_scores": {"size": 6, "scale": 1 / 256, "zero_point": -128, "activation": activation},
        "parameters": 36,
        "macs": 36,
        "converter": {},
        "source_sha256": "",
        "flatbuffer": {"bytes": len(flatbuffer), "sha256": hashlib.sha256(flatbuffer).hexdigest()},
    }
    content = io.BytesIO(flatbuffer)
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr("metadata.json", json.dumps(metadata))
    (tmp_path / "scores.tflite").write_bytes(content.getvalue())
    assert RecognizerFile.open(tmp_path / "scores.tflite").activation == activation


def graph(*operators: str, dtype: str = "INT8", scale: float = 0.0, zero_point: int = 0) -> Subgraph:
    """Operators one after the other; each tensor has the same quantization."""
    tensors = tuple(Tensor(str(k), dtype, (1, 6), scale, zero_point) for k in range(len(operators) + 1))
    chain = tuple(
        Operator(OperatorCode(ALLOWED_IN_RECOGNIZERS[name], 1, ""), (k,), (k + 1,)) for k, name in enumerate(operators)
    )
    return Subgraph(tensors, (0,), (len(operators),), chain)


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point", "activation"),
    [
        ("INT8", 1 / 256, -128, "softmax"),
        ("INT8", 1 / 255, -128, "softmax"),
        ("INT8", np.float32(1 / 255), -128, "softmax"),
        ("UINT8", 1 / 256, 0, "softmax"),
        ("INT8", 1 / 256, -127, "logits"),  # from -1/256
        ("INT8", 1 / 128, -128, "logits"),  # to 2
        ("INT8", 0.0, 0, "logits"),  # no quantization
        ("FLOAT32", 1 / 256, -128, "logits"),
        ("UINT8", 1 / 256, -128, "logits"),  # from 0.5 to 1.5
    ],
)
def test_levels_from_0_to_1_are_probabilities(dtype: str, scale: float, zero_point: int, activation: str) -> None:
    network = graph("CONV_2D", "FULLY_CONNECTED", dtype=dtype, scale=scale, zero_point=zero_point)
    assert score_activation(network, is_sequence=False) == activation


def test_only_the_last_operator_that_computes_something_counts() -> None:
    assert score_activation(graph("SOFTMAX", "RESHAPE", "SQUEEZE", "DEQUANTIZE"), is_sequence=False) == "softmax"
    assert score_activation(graph("SOFTMAX", "FULLY_CONNECTED"), is_sequence=False) == "logits"
    assert score_activation(graph("RELU_0_TO_1"), is_sequence=False) == "softmax"
    assert score_activation(graph("RESHAPE"), is_sequence=False) is None  # the image itself
    assert score_activation(graph(), is_sequence=False) is None


def test_the_bundled_recognizer_says_it_in_its_metadata_and_in_its_graph() -> None:
    file = RecognizerFile.open("digits")
    (network,) = read_flatbuffer(file.flatbuffer).subgraphs
    assert file.activation == score_activation(network, is_sequence=False) == "softmax"
