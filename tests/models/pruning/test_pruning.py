"""Pruning: the smaller network computes what the masked one does, and the least important channels go."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from stn_rectify.models import stn_cost
from stn_rectify.models.network.poses import CornerLoss
from stn_rectify.models.pruning.channel_flow import channel_flow
from stn_rectify.models.pruning.channel_groups import channel_groups, kept_channels
from stn_rectify.models.pruning.importance import scale_importance, taylor_importance
from stn_rectify.models.pruning.surgery import without_channels
from tests.models.small_networks import NETWORKS, SIZE, branches, convolution, of_layers, ours, stirred
from tests.slow_tests import quick_ones


def chosen(model, fraction=0.5):
    """Flow, and which channels are kept, by importances at random."""
    flow = channel_flow(model)
    whole = flow.macs(np.ones(flow.count, bool))
    return flow, kept_channels(flow, np.random.default_rng(1).uniform(1, 2, flow.count), whole * (1 - fraction))


def mask(flow, kept):
    """Zeroes, in the model itself, what gives the removed channels; ReLU and ReLU6 leave the zeros."""
    for call in flow.calls:
        for weight, channels in zip(call.layer.weights, call.weights, strict=False):
            axis, numbers = channels.outputs
            shape = [1] * len(weight.shape)
            shape[axis] = -1
            weight.assign(np.asarray(weight) * kept[numbers].reshape(shape))


@pytest.mark.parametrize("make", quick_ones(NETWORKS, "profiles", "branches", "repeated, recognizer"))
def test_the_smaller_network_gives_what_the_masked_one_gives(make):
    keras.utils.set_random_seed(0)
    model = stirred(make())
    flow, kept = chosen(model)
    small = without_channels(model, flow, kept)
    frames = np.random.default_rng(0).random((3, *model.input_shape[1:])).astype(np.float32)
    mask(flow, kept)
    expected, found = model.predict(frames, verbose=0), small.predict(frames, verbose=0)
    keras.tree.map_structure(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), expected, found)
    assert small.count_params() < model.count_params()
    assert flow.input_size in {SIZE[:2], (16, 16)}
    assert flow.macs(kept) <= 0.5 * flow.macs(np.ones(flow.count, bool))


@pytest.mark.parametrize("body", ["separable", "fused"])
def test_counts_are_multiples_of_eight_and_macs_as_counted_on_the_smaller_network(body):
    model = ours(body=body, width=1)
    flow, kept = chosen(model, 0.75)
    counts = [int(kept[group.channels].sum()) for group in channel_groups(flow)]
    assert all(count >= 8 and count % 8 == 0 for count in counts)
    small = without_channels(model, flow, kept)
    assert flow.macs(kept) == sum(s.macs for s in stn_cost(small).stages if s.stage in ("localization", "head"))
    names = [layer.name for layer in model.layers if "input" not in layer.name]
    assert [layer.name for layer in small.layers if "input" not in layer.name] == names


def test_channels_that_residual_connections_add_are_one_group():
    groups = {group.layers: len(group.channels) for group in channel_groups(channel_flow(ours(width=1)))}
    assert groups == {
        ("stem", "block1_pointwise"): 16,
        ("block2_pointwise",): 24,
        ("block3_pointwise",): 32,
        ("block4_pointwise", "block5_pointwise"): 48,
        ("block6_pointwise", "block7_pointwise", "block8_pointwise", "block9_pointwise"): 64,
        ("squeeze",): 32,
        ("features",): 24,
    }


def test_parts_of_a_concatenation_that_is_added_are_groups_of_their_own():
    sizes = sorted(len(group.channels) for group in channel_groups(channel_flow(of_layers(branches))))
    assert sizes == [16, 16, 24, 24]


@pytest.mark.parametrize(
    "layer",
    [
        layers.LayerNormalization(),
        layers.Softmax(),
        layers.Conv2D(24, 3, groups=2),
        layers.BatchNormalization(axis=1),
        layers.Reshape((-1, 6)),
        layers.Concatenate(axis=1),
    ],
    ids=["layer normalization", "softmax", "groups", "other axis", "reshape", "concatenation of rows"],
)
def test_channels_that_a_layer_mixes_in_another_way_stay(layer):
    def trunk(x):
        x = layers.Conv2D(24, 3)(x)
        x = layer([x, x]) if isinstance(layer, layers.Concatenate) else layer(x)
        return layers.Dense(16)(layers.Flatten()(x))

    (group,) = channel_groups(channel_flow(of_layers(trunk)))
    assert len(group.channels) == 16


def test_the_last_removed_are_put_back_where_there_is_room():
    """24 channels that all count the same: only as many are removed as must be."""
    flow = channel_flow(of_layers(lambda x: layers.GlobalAveragePooling2D()(convolution(x, 24))))
    whole = np.ones(flow.count, bool)
    kept = kept_channels(flow, np.ones(flow.count), 0.6 * flow.macs(whole))
    assert flow.macs(kept) == pytest.approx(flow.macs(whole) / 3)
    assert kept_channels(flow, np.ones(flow.count), flow.macs(whole)).all()


@pytest.mark.slow
def test_taylor_importance_is_the_squared_change_of_the_loss_in_each_layer_that_reads_a_channel():
    """Against differences: what one layer reads of a channel scaled by a little more and less than 1."""
    keras.utils.set_random_seed(0)
    model = stirred(ours(localization="pooled"))
    flow = channel_flow(model)
    pose = keras.Model(model.input, [model.get_layer("theta").output])
    rng = np.random.default_rng(0)
    frames = rng.random((4, *SIZE)).astype(np.float32)
    corners = np.float32([[-1, -1], [1, -1], [1, 1], [-1, 1]]) + rng.normal(0, 0.2, (4, 4, 2)).astype(np.float32)
    before = model.get_weights()
    batch = (frames, [corners], [np.ones(4, np.float32)])
    found = taylor_importance(flow, pose, {"loss": [CornerLoss()]}, [batch])
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(layer.trainable for layer in model.layers)

    def loss():
        return float(keras.ops.mean(CornerLoss()(corners, pose(frames, training=False))))

    def derivative(weight, axis, of_channel, step=0.02):
        """Of the loss in a factor on what the layer reads of a channel."""
        whole, ends = np.array(weight), []
        shape = [-1 if k == axis else 1 for k in range(whole.ndim)]
        for factor in (1 - step, 1 + step):
            weight.assign(whole * np.where(of_channel, factor, 1).reshape(shape))
            ends.append(loss())
        weight.assign(whole)
        return (ends[1] - ends[0]) / (2 * step)

    for group in channel_groups(flow):
        channel = group.channels[int(found[group.channels].argmax())]
        readers = [
            (weight, *channels.inputs)
            for call in flow.calls
            for weight, channels in zip(call.layer.weights, call.weights, strict=True)
            if channels.inputs is not None and channel in channels.inputs[1]
        ]
        changes = [derivative(weight, axis, numbers == channel) for weight, axis, numbers in readers]
        assert found[channel] == pytest.approx(np.square(changes).sum(), rel=0.1)


def test_scale_importance_removes_what_batch_normalization_made_small():
    model = stirred(ours())
    weak = np.arange(16) % 2 == 0
    model.get_layer("squeeze_bn").gamma.assign(np.where(weak, -1e-3, 1))  # the sign is nothing
    flow = channel_flow(model)
    importance = scale_importance(flow)
    group = next(g for g in channel_groups(flow) if g.layers == ("squeeze",))
    removed = group.candidates(np.ones(flow.count, bool), importance)
    np.testing.assert_array_equal(np.isin(group.channels, removed), weak)
    features = next(g for g in channel_groups(flow) if g.layers == ("features",))
    assert np.isinf(importance[features.channels]).all()
