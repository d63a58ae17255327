"""TensorFlow's quantizer as it is called here, and what is said where it fails."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from stn_rectify.converters.tflite.object_tree import DTYPES, operator_name, read_model
from stn_rectify.converters.tflite.quantizer import quantize, to_float_tflite, to_tflite
from stn_rectify.runtime.errors import ModelFileError

IMAGES = np.random.default_rng(0).random((4, 8, 8, 1), np.float32)


def nothing(image):
    """Zero for every image in [0, 1]."""
    return {"out": tf.nn.relu(-1.0 - image) * image}


def test_an_operation_without_an_operator_is_named_without_the_converters_own_text():
    def network(image):
        with tf.name_scope("network/reader/resize"):
            return {"out": tf.raw_ops.ResizeBicubic(images=image, size=[16, 16], name="up")}

    for convert in (to_tflite, to_float_tflite):
        with pytest.raises(ModelFileError) as refused:
            convert(network, (8, 8, 1), "trunk")
        assert str(refused.value) == (
            "TensorFlow cannot convert the trunk: operation ResizeBicubic ('…/reader/resize/up') has no TensorFlow "
            "Lite operator"
        )


def test_without_names_of_outputs_a_float_file_has_the_same_operators():
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, activation="relu")])
    model.add(keras.layers.BatchNormalization())
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(3, activation="softmax"))
    named, plain = (to(lambda image: {"out": model(image)}, (8, 8, 1), "model") for to in (to_tflite, to_float_tflite))
    names = [
        [operator_name(read.operatorCodes[op.opcodeIndex]) for op in read.subgraphs[0].operators]
        for read in map(read_model, (plain, named))
    ]
    assert names[0] == names[1] != []
    image = IMAGES[:1]
    interpreter = tf.lite.Interpreter(model_content=plain)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    given = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(given, model(image), atol=1e-6)


def test_a_layer_that_gives_nothing_but_zeros_is_refused_unless_that_is_allowed():
    with pytest.raises(ModelFileError, match="zero for every calibration image"):
        quantize(nothing, IMAGES, (0.0, 1.0), "trunk")
    assert quantize(nothing, IMAGES, (0.0, 1.0), "trunk", checked=False)


def _operators(flatbuffer):
    model = read_model(flatbuffer)
    assert all("float" not in DTYPES[tensor.type] for tensor in model.subgraphs[0].tensors)
    return [operator_name(model.operatorCodes[op.opcodeIndex]) for op in model.subgraphs[0].operators]


ALPHA = tf.constant(np.linspace(0.1, 0.6, 4).reshape(1, 1, 4), tf.float32)
WEIGHTS = tf.constant(np.random.default_rng(1).normal(0, 1, (3, 3, 1, 4)), tf.float32)
FUSED = {
    "prelu": (lambda x: tf.nn.relu(x) + -ALPHA * tf.nn.relu(-x), "PRELU"),
    "gelu": (lambda x: tf.nn.gelu(x), "GELU"),
    "gelu by tanh": (lambda x: tf.nn.gelu(x, approximate=True), "GELU"),
    "gelu by erf": (lambda x: 0.5 * x * (1 + tf.math.erf(x / np.float32(np.sqrt(2)))), "GELU"),
}


@pytest.mark.parametrize(("function", "operator"), FUSED.values(), ids=FUSED)
def test_an_activation_written_as_arithmetic_becomes_one_operator(function, operator):
    """Its inner sums and products are no outputs while TensorFlow calibrates; those around it are."""

    def network(image):
        seen = tf.nn.conv2d(image, WEIGHTS, 1, "SAME")
        return {"out": seen + function(seen)}

    assert _operators(quantize(network, IMAGES, (0.0, 1.0), "trunk")) == ["CONV_2D", operator, "ADD"]


def test_a_prelu_computes_what_it_did_in_float():
    layer = keras.layers.PReLU(alpha_initializer=keras.initializers.Constant(0.3), shared_axes=[1, 2])

    def network(image):
        return {"out": layer(tf.nn.conv2d(image, WEIGHTS, 1, "SAME"))}

    interpreter = tf.lite.Interpreter(model_content=quantize(network, IMAGES, (0.0, 1.0), "trunk"))
    run = interpreter.get_signature_runner()
    scale, zero_point = run.get_output_details()["out"]["quantization"]
    levels = np.rint(IMAGES[:1] * 255 - 128).astype(np.int8)
    found = (run(image=levels)["out"].astype(float) - zero_point) * scale
    np.testing.assert_allclose(found, network(IMAGES[:1])["out"], atol=3 * scale)


def test_what_stays_in_float_is_refused_by_node_and_operator():
    with pytest.raises(
        ModelFileError, match=r"trunk computes in float .*'[^']*odd[^']*' \(NEG\); replace that by .*-1"
    ):
        quantize(lambda image: {"out": 2 * tf.negative(image, name="odd")}, IMAGES, (0.0, 1.0), "trunk")
