"""TensorFlow's quantizer as it is called here, and what is said where it fails."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from stn_rectify.converters.tflite.quantizer import quantize, to_tflite
from stn_rectify.runtime.errors import ModelFileError

IMAGES = np.random.default_rng(0).random((4, 8, 8, 1), np.float32)


def nothing(image):
    """Zero for every image in [0, 1]."""
    return {"out": tf.nn.relu(-1.0 - image) * image}


def test_an_operation_without_an_operator_is_named_without_the_converters_own_text():
    def network(image):
        with tf.name_scope("network/reader/resize"):
            return {"out": tf.raw_ops.ResizeBicubic(images=image, size=[16, 16], name="up")}

    with pytest.raises(ModelFileError) as refused:
        to_tflite(network, (8, 8, 1), "trunk")
    assert str(refused.value) == (
        "TensorFlow cannot convert the trunk: operation ResizeBicubic ('…/reader/resize/up') has no TensorFlow Lite "
        "operator"
    )


def test_a_layer_that_gives_nothing_but_zeros_is_refused_unless_that_is_allowed():
    with pytest.raises(ModelFileError, match="zero for every calibration image"):
        quantize(nothing, IMAGES, (0.0, 1.0), "trunk")
    assert quantize(nothing, IMAGES, (0.0, 1.0), "trunk", refuse_dead=False)
