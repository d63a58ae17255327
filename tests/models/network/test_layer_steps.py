"""Models as flat lists of calls."""

from __future__ import annotations

import keras

from stn_rectify.models.network.layer_steps import flat_steps


def test_a_chain_of_many_layers_is_followed():
    frame = keras.Input((4, 4, 1))
    tensor = frame
    for _ in range(600):
        tensor = keras.layers.ReLU()(tensor)
    steps, outputs = flat_steps(keras.Model(frame, tensor))
    assert [step.inputs for step in steps] == [(k,) for k in range(600)]
    assert outputs == [600]


def test_layers_run_in_the_order_in_which_they_are_needed():
    frame = keras.Input((4,))
    a, b = keras.layers.Dense(2, name="a")(frame), keras.layers.Dense(2, name="b")(frame)
    joined = keras.layers.Add(name="joined")([b, a, b])
    steps, outputs = flat_steps(keras.Model(frame, [joined, a]))
    assert [step.layer.name for step in steps] == ["b", "a", "joined"]
    assert (steps[2].inputs, outputs) == ((1, 2, 1), [3, 2])
