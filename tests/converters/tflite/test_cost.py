"""What a network costs, against numbers counted by hand."""

from __future__ import annotations

import keras
from keras import layers

from stn_rectify.converters.tflite.quantizer import to_tflite
from stn_rectify.converters.tflite.written_graph import network_cost


def cost(model):
    return network_cost(to_tflite(lambda image: {"out": model(image, training=False)}, model.input_shape[1:], "model"))


def test_the_products_of_attention_are_counted():
    frame = keras.Input((16, 16, 3))
    rows = layers.Reshape((64, 12))(frame)
    model = keras.Model(frame, layers.MultiHeadAttention(2, 8)(rows, rows))
    # Query, key and value; query · key and weights · value; what joins the heads.
    assert cost(model)[1] == 3 * 64 * 12 * 16 + 2 * 64 * 64 * 16 + 64 * 16 * 12


def test_a_layer_called_twice_has_its_parameters_once():
    frame = keras.Input((8, 8, 3))
    twice = layers.Conv2D(3, 3, padding="same", bias_initializer="ones")
    model = keras.Model(frame, twice(layers.MaxPooling2D(1)(layers.Softmax()(twice(frame)))))
    assert cost(model) == (3 * 3 * 3 * 3 + 3, 2 * 8 * 8 * 3 * 3 * 3 * 3)
