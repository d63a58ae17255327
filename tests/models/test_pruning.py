"""Pruning: the smaller network computes what the masked one does, the least important channels go, runs resume."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

from stn_rectify.converters.conversion import convert
from stn_rectify.converters.conversion_options import ConversionOptions
from stn_rectify.models import AffineGrid, BilinearSampler, lightweight_stn, stn_cost
from stn_rectify.models.cli import main
from stn_rectify.models.files import load_model
from stn_rectify.models.pruning import PruningCourse, prune
from stn_rectify.models.pruning.channel_flow import channel_flow
from stn_rectify.models.pruning.channel_groups import channel_groups, kept_channels
from stn_rectify.models.pruning.importance import scale_importance, taylor_importance
from stn_rectify.models.pruning.surgery import without_channels
from stn_rectify.models.training.losses import CornerLoss
from stn_rectify.runtime.errors import DataError

SIZE = (32, 32, 1)


def ours(**arguments):
    return lightweight_stn(SIZE, **{"width": 0.5, "features": 24, **arguments})


def of_layers(trunk, after=None):
    """An affine STN on layers of a user's own; ``after`` is a recognizer on the rectified image."""
    frame = keras.Input((16, 16, 3), name="frame")
    theta = layers.Dense(6, name="theta")(trunk(frame))
    rectified = BilinearSampler()([frame, AffineGrid((16, 16), (16, 16))(theta)])
    return keras.Model(frame, {"theta": theta, "image": after(rectified) if after else rectified})


def convolution(x, channels, size=3, **arguments):
    x = layers.Conv2D(channels, size, padding="same", use_bias=False, **arguments)(x)
    return layers.ReLU(6.0)(layers.BatchNormalization()(x))


def branches(x):
    """Concatenation, both parts added to a third; pooling; a hidden Dense layer."""
    x = layers.MaxPooling2D(2)(convolution(layers.Rescaling(2.0)(x), 24))
    both = layers.Concatenate()([convolution(x, 16), convolution(x, 16, 1)])
    x = layers.Add()([both, convolution(x, 32)])
    return layers.Dense(24, activation="relu")(layers.Flatten()(layers.AveragePooling2D(4)(x)))


def excitation(x):
    """Channels scaled by a gate; depthwise with a multiplier; separable; biases."""
    x = layers.Conv2D(16, 3, strides=2, activation="relu")(x)
    gate = layers.Dense(16, activation="sigmoid")(layers.GlobalAveragePooling2D()(x))
    x = layers.Multiply()([x, layers.Reshape((1, 1, 16))(gate)])
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu")(convolution(x, 24))
    return layers.GlobalMaxPooling2D()(layers.SeparableConv2D(24, 3, depth_multiplier=2, activation="relu")(x))


def nested(x):
    inner = [
        keras.Input((16, 16, 3)),
        layers.Conv2D(16, 3, name="c"),
        layers.ReLU(),
        layers.Conv2D(24, 3),
        layers.ReLU(),
    ]
    x = keras.Sequential(inner)(x)
    return layers.GlobalAveragePooling2D()(layers.Conv2D(16, 3, activation="relu", name="c")(x))


def repeated(x):
    """One layer called three times: what it reads and gives are the same channels."""
    again = layers.Conv2D(24, 3, padding="same", activation="relu")
    x = layers.Conv2D(24, 3, activation="relu")(x)
    return layers.Flatten()(layers.MaxPooling2D(4)(again(again(again(x)))))


def dense(x):
    return layers.Dense(24, activation="relu")(layers.Dense(32, activation="relu")(layers.Flatten()(x)))


def recognizer(x):
    return layers.Dense(10)(layers.Flatten()(layers.Conv2D(16, 3)(x)))


NETWORKS = {
    "profiles": lambda: ours(transform="projective"),
    "flatten": lambda: ours(localization="flatten"),
    "pooled, smaller copy": lambda: ours(localization="pooled", localization_shape=(16, 16)),
    "fused": lambda: ours(body="fused", transform="projective", initial_scale=0.7),
    "tps, without score": lambda: ours(transform="tps", score=False),
    "branches": lambda: of_layers(branches),
    "excitation": lambda: of_layers(excitation),
    "nested": lambda: of_layers(nested),
    "dense": lambda: of_layers(dense),
    "repeated, recognizer": lambda: of_layers(repeated, recognizer),
}


def stirred(model):
    """The model with numbers everywhere, as after training."""
    rng = np.random.default_rng(3)
    for weight in model.weights:
        shape = tuple(weight.shape)
        if len(shape) > 1:
            weight.assign(rng.normal(0, 1 / np.sqrt(np.prod(shape[:-1])), shape))
        elif weight.name == "moving_variance":
            weight.assign(rng.uniform(0.2, 3, shape))
        elif shape not in {(6,), (8,), (32,)} or "theta" not in weight.path:  # θ stays near the identity
            weight.assign(rng.normal(0.3, 0.3, shape))
    return model


def chosen(model, fraction=0.5):
    """Flow, and which channels are kept, by importances at random."""
    flow = channel_flow(model)
    whole = flow.macs(np.ones(flow.count, bool))
    return flow, kept_channels(flow, np.random.default_rng(1).uniform(1, 2, flow.count), whole * (1 - fraction))


def mask(flow, kept):
    """Zeroes, in the model itself, what gives the removed channels; ReLU and ReLU6 leave the zeros."""
    for call in flow.calls:
        for weight, channels in zip(call.layer.weights, call.weights, strict=False):
            axis, numbers = channels.given
            shape = [1] * len(weight.shape)
            shape[axis] = -1
            weight.assign(np.asarray(weight) * kept[numbers].reshape(shape))


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
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
    assert flow.seen in {SIZE[:2], (16, 16)}
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
            (weight, *channels.taken)
            for call in flow.calls
            for weight, channels in zip(call.layer.weights, call.weights, strict=True)
            if channels.taken is not None and channel in channels.taken[1]
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


ARGUMENTS = ["--samples", "200", "--batch-size", "50", "--jobs", "1", "--hold-out", "0"]
COURSE = PruningCourse(samples=200, epochs=2, batch_size=50, steps=2, importance="batch-norm")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    file = tmp_path_factory.mktemp("source") / "source.keras"
    keras.utils.set_random_seed(0)
    stirred(ours(transform="projective")).save(file)
    return file


@pytest.fixture(scope="module")
def whole(source):
    """The result of a run that nobody stopped."""
    out = source.with_name("whole.keras")
    prune(source, COURSE, out)
    return out


def test_a_pruned_model_is_smaller_and_converts(source, whole, tmp_path):
    small = load_model(whole)
    costs = [
        sum(s.macs for s in stn_cost(m).stages if s.stage in ("localization", "head"))
        for m in (load_model(source), small)
    ]
    assert costs[1] <= costs[0] / 2
    assert not whole.with_suffix(".training").exists()
    options = ConversionOptions(whole.with_suffix(".calibration.npz"), pose_only=True, latency=False)
    assert convert(whole, tmp_path, options).proof.passed


def test_a_run_stopped_in_its_second_step_goes_on_to_the_same_result(source, whole, tmp_path, monkeypatch):
    """Each step has an epoch of four batches."""
    train_on_batch = keras.Model.train_on_batch
    out, trained = tmp_path / "stopped.keras", []

    def train_and_stop(self, frames, *args, **kwargs):
        if len(trained) == 5:
            raise KeyboardInterrupt
        trained.append(1)
        return train_on_batch(self, frames, *args, **kwargs)

    monkeypatch.setattr(keras.Model, "train_on_batch", train_and_stop)
    with pytest.raises(KeyboardInterrupt):
        prune(source, COURSE, out)
    monkeypatch.undo()
    assert not out.exists()
    with pytest.raises(DataError, match="other settings"):
        prune(source, replace(COURSE, fraction=0.4), out)
    resumed = prune(source, COURSE, out)
    for a, b in zip(load_model(whole).get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    header, *rows = (line.split(",") for line in out.with_suffix(".curve.csv").read_text().splitlines())
    curve = [dict(zip(header, row, strict=True)) for row in rows]
    assert [(row["step"], row["epoch"], row["batches"]) for row in curve] == [("1", "1", "4"), ("2", "2", "4")]


def test_the_command_prunes_a_refine_network_with_crops(tmp_path, capsys):
    source, out = tmp_path / "a.refine.keras", tmp_path / "b.refine.keras"
    stirred(ours(transform="projective", initial_scale=0.7)).save(source)
    told = ["--prune", "0.3", str(source), "--out", str(out), *ARGUMENTS, "--epochs", "1"]
    assert main(told) == 0
    printed = capsys.readouterr().out
    assert "squeeze: 16 →" in printed
    assert load_model(out).count_params() < load_model(source).count_params()
    corners = np.load(tmp_path / "b.refine.calibration.npz")["corners"]
    # In a crop the target fills about 1 / 1.4 of each side; in whole frames targets are mostly smaller.
    corners = corners[np.isfinite(corners).all(axis=(1, 2))]
    assert np.median(np.ptp(corners, axis=1)) > 0.55 * SIZE[0]


def no_normalization(tmp_path):
    file = tmp_path / "plain.keras"
    of_layers(lambda x: layers.GlobalAveragePooling2D()(layers.Conv2D(32, 3)(x))).save(file)
    return file


def no_stn(tmp_path):
    file = tmp_path / "none.keras"
    keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(6, name="theta")]).save(file)
    return file


def small_stn(tmp_path):
    file = tmp_path / "small.keras"
    ours().save(file)
    return file


@pytest.mark.parametrize(
    ("make", "arguments", "status", "message"),
    [
        (small_stn, ["--prune", "0.99"], 1, "small.keras: 99.0% of its MACs cannot be removed, only"),
        (small_stn, ["--prune", "1"], 2, "above 0 and below 1"),
        (small_stn, ["--prune", "0.5", "--prune-steps", "3", "--epochs", "2"], 2, "--prune-steps 3 share 2 epochs"),
        (small_stn, ["--prune", "0.5", "--out", "b.refine.keras"], 2, "is called NAME.refine.keras"),
        (small_stn, ["--prune", "0.5", "--width", "2"], 2, "--width is for a new network"),
        (small_stn, ["--prune", "0.5", "--quantize-aware"], 2, "one after the other"),
        (small_stn, ["--prune", "0.5", "--out", "small.keras", "--overwrite"], 2, "give another --out"),
        (no_normalization, ["--prune", "0.5", "--importance", "batch-norm"], 1, "give --importance taylor"),
        (no_stn, ["--prune", "0.5"], 1, "no Spatial Transformer Network"),
    ],
    ids=["too much", "all", "steps", "refine name", "network option", "two tasks", "onto itself", "no scale", "no STN"],
)
def test_wrong_input_is_one_clear_line_before_any_work(tmp_path, monkeypatch, capsys, make, arguments, status, message):
    monkeypatch.chdir(tmp_path)
    try:
        found = main([make(tmp_path).name, "--out", "b.keras", *arguments])
    except SystemExit as stop:
        found = stop.code
    assert found == status
    error = capsys.readouterr().err
    assert error.startswith("stn-train: error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("*.training"))
