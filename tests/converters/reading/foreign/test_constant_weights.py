"""Weights as constants: what a function stores for its next call is left out, or the function refused."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from stn_rectify.converters.reading.foreign.constant_weights import with_constant_weights
from stn_rectify.runtime.errors import ModelFileError


class Counting(tf.Module):
    """Twice its input; it counts its calls, and may add that."""

    def __init__(self, adds):
        super().__init__()
        self.weight, self.calls, self.adds = tf.Variable(2.0), tf.Variable(0, dtype=tf.int64), adds

    @tf.function(input_signature=[tf.TensorSpec((None, 3), tf.float32)])
    def __call__(self, x):
        before = self.calls.read_value()
        self.calls.assign_add(1)
        return self.weight * x + (tf.cast(before, tf.float32) if self.adds else 0.0)


def frozen(folder, adds, saved):
    """What becomes of it, as it is or from a SavedModel."""
    module = Counting(adds)
    if not saved:
        return with_constant_weights("counting", module.__call__.get_concrete_function())
    tf.saved_model.save(module, str(folder), signatures=module.__call__)
    loaded = tf.saved_model.load(str(folder))
    return with_constant_weights("counting", loaded.signatures["serving_default"])


@pytest.mark.parametrize("saved", [False, True])
def test_what_is_stored_for_the_next_call_is_left_out(tmp_path, saved):
    function = frozen(tmp_path, False, saved)
    assert len(function.inputs) == 1
    given = np.arange(6, dtype=np.float32).reshape(2, 3)
    (found,) = tf.nest.flatten(function(tf.constant(given)))
    np.testing.assert_array_equal(found, 2 * given)
    operations = function.graph.get_operations()
    assert not [op.type for op in operations if "Assign" in op.type or "ReadVariable" in op.type]


@pytest.mark.parametrize("saved", [False, True])
def test_what_changes_with_each_call_is_refused(tmp_path, saved):
    with pytest.raises(ModelFileError, match="counting: what it gives depends on numbers that it changes with each"):
        frozen(tmp_path, True, saved)
