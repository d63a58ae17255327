"""Networks with samplers anywhere in them → file: each sampler in integers, all else as TensorFlow quantizes it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stn_rectify.converters.conversion import convert
from stn_rectify.converters.custom_code import CustomCode
from stn_rectify.converters.networks.composite_assembly import handed_over
from stn_rectify.converters.networks.reading import read_networks
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.proof import proof
from stn_rectify.converters.reading.composite_parts import split_composite
from stn_rectify.converters.reading.foreign.sampler_site import OtherStructureError
from stn_rectify.converters.reading.graph_parts import split_keras_graph
from stn_rectify.converters.tflite.builder import Quantization
from stn_rectify.converters.tflite.graph import FlatbufferGraph
from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter
from stn_rectify.converters.tflite.object_tree import read_model, schema, write_model
from stn_rectify.runtime.errors import ModelFileError, UsageError
from stn_rectify.runtime.model.model_file import ModelFile
from stn_rectify.runtime.model.network_file import NetworkFile
from stn_rectify.runtime.recognition.recognizer_file import RecognizerFile
from tests.converters.foreign_models import composites
from tests.converters.foreign_models import layers as foreign
from tests.converters.keras_models import save_frames, smooth_frames

SHAPE = composites.SHAPE


def options(frames, **more):
    return ConversionOptions(
        calibration=frames, latency=False, custom_objects=CustomCode.read(foreign.__file__), **more
    )


def split(build):
    with pytest.raises(OtherStructureError) as refused:
        split_keras_graph(composites.made(build))
    return split_composite(refused.value.graph)


@pytest.mark.parametrize(
    ("build", "samplers"),
    [
        pytest.param(composites.of_feature_maps, [("map_1", (14, 16, 10), "affine", "zeros")], marks=pytest.mark.slow),
        (composites.of_their_feature_maps, [("map_1", (14, 16, 10), "affine", "cut")]),
        pytest.param(
            composites.of_signed_feature_maps, [("map_1", (14, 16, 7), "affine", "border")], marks=pytest.mark.slow
        ),
        (
            composites.in_series,
            [("image", (28, 32, 3), "affine", "zeros"), ("sampled_1", (20, 24, 3), "affine", "zeros")],
        ),
        pytest.param(
            composites.in_parallel,
            [("image", (28, 32, 3), "affine", "zeros"), ("image", (28, 32, 3), "affine", "border")],
            marks=pytest.mark.slow,
        ),
        (
            composites.of_one_layer,
            [("image", (28, 32, 3), "affine", "border"), ("image", (28, 32, 3), "affine", "border")],
        ),
        pytest.param(composites.before_a_text, [("image", (28, 32, 3), "projective", "zeros")], marks=pytest.mark.slow),
        (composites.beside_the_frame, [("image", (28, 32, 3), "affine", "zeros")]),
        pytest.param(composites.image_and_scores, [("map_1", (14, 16, 10), "affine", "zeros")], marks=pytest.mark.slow),
        pytest.param(
            composites.attention_of_features, [("map_1", (14, 16, 10), "affine", "zeros")], marks=pytest.mark.slow
        ),
        pytest.param(
            composites.attention_of_frame_and_features,
            [("image", (28, 32, 3), "affine", "zeros"), ("map_2", (14, 16, 10), "affine", "zeros")],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_every_sampler_is_found_where_it_stands(build, samplers):
    parts = split(build)
    assert [(s.source, s.image_shape, s.transform, s.padding) for s in parts.samplers] == samplers
    frames = smooth_frames(SHAPE, 3) / np.float32(255)
    floats = parts.run(frames)
    given = {"image": frames, **{name: floats[name] for name in parts.inputs if name != "image"}}
    alone = parts.remainder(given)
    for name, place in parts.places.items():
        np.testing.assert_allclose(alone[place], floats[name], atol=1e-5)
    for sampler in parts.samplers:
        features = np.reshape(alone[sampler.features], (3, -1))
        np.testing.assert_allclose(features @ sampler.kernel + sampler.bias, floats[sampler.theta], atol=1e-4)


_DEVICE = """
import sys
import numpy as np
from stn_rectify.runtime import Recognizer
file, frames, answers = sys.argv[1:]
with Recognizer(file) as recognizer:
    found = [recognizer.recognize(frame) for frame in np.load(frames)]
scores = [] if found[0].class_scores is None else [one.class_scores for one in found]
np.savez(answers, scores=np.array(scores), labels=[one.label for one in found])
"""


def on_device(file: Path, frames: np.ndarray) -> dict[str, np.ndarray]:
    """What a recognizer's file says of frames of red, green and blue, in a process without TensorFlow."""
    seen, answers = file.with_suffix(".frames.npy"), file.with_suffix(".answers.npz")
    np.save(seen, frames[..., ::-1])
    subprocess.run([sys.executable, "-c", _DEVICE, str(file), str(seen), str(answers)], check=True)
    return dict(np.load(answers))


@pytest.mark.parametrize(
    "build",
    [
        composites.of_feature_maps,
        pytest.param(composites.of_their_feature_maps, marks=pytest.mark.slow),
        pytest.param(composites.of_signed_feature_maps, marks=pytest.mark.slow),
        pytest.param(composites.in_series, marks=pytest.mark.slow),
        pytest.param(composites.in_parallel, marks=pytest.mark.slow),
        pytest.param(composites.of_one_layer, marks=pytest.mark.slow),
    ],
)
def test_a_network_with_class_scores_becomes_a_recognizer(tmp_path, build):
    model, frames = composites.made(build), save_frames(tmp_path, SHAPE, 24)
    model.save(tmp_path / "whole.keras")
    done = convert(tmp_path / "whole.keras", tmp_path / "out", options(frames))
    assert done.proof.passed
    assert done.networks[0].comparison.class_scores.top1_agreement > 0.9
    assert all(sampler.corners_mean_px < 0.1 for sampler in done.networks[0].comparison.samplers)
    seen = smooth_frames(SHAPE, 20, seed=9)
    truth = model.predict(seen / np.float32(255), verbose=0)
    assert len(set(truth.argmax(axis=1))) > 1
    scores = on_device(done.path, seen)["scores"]
    assert np.abs(scores - truth).mean() < 0.15 * np.abs(truth - truth.mean(axis=0)).mean()
    assert (scores.argmax(axis=1) == truth.argmax(axis=1)).mean() >= 0.9
    report = json.loads(done.path.with_suffix(".report.json").read_text())
    assert len(report["metadata"]["samplers"]) == len(report["networks"][0]["samplers"])
    assert "The samplers inside" in done.path.with_suffix(".report.html").read_text()
    with pytest.raises(ModelFileError, match=r"it is the file of a recognizer: give it as the recognizer"):
        ModelFile.open(done.path)


@pytest.mark.slow
def test_a_text_reader_behind_a_sampler_is_one_file(tmp_path):
    model, frames = composites.made(composites.before_a_text), save_frames(tmp_path, SHAPE, 24)
    model.save(tmp_path / "whole.keras")
    with pytest.raises(UsageError, match="2 labels for an output of 8 by 5: a sequence recognizer needs one for each"):
        convert(tmp_path / "whole.keras", tmp_path / "out", options(frames, labels=tuple("ab")))
    (unlabelled,) = read_networks(tmp_path / "whole.keras", options(frames))
    assert not unlabelled.is_recognizer
    assert "--labels, its alphabet, makes it a reader of texts" in unlabelled.parts.notes[0]
    done = convert(tmp_path / "whole.keras", tmp_path / "out", options(frames, labels=tuple("abcd")))
    assert RecognizerFile.open(done.path).sequence.blank == 4
    seen = smooth_frames(SHAPE, 20, seed=9)
    steps = model.predict(seen / np.float32(255), verbose=0).argmax(axis=2)
    texts = ["".join("abcd-"[k] for n, k in enumerate(row) if not n or row[n - 1] != k) for row in steps]
    read = on_device(done.path, seen)["labels"]
    assert np.mean([a == b.replace("-", "") for a, b in zip(read, texts, strict=True)]) >= 0.8


@pytest.mark.slow
def test_a_network_of_other_outputs_has_a_file_of_its_own(tmp_path):
    model, frames = composites.made(composites.image_and_scores), save_frames(tmp_path, SHAPE, 24)
    model.save(tmp_path / "whole.keras")
    done = convert(tmp_path / "whole.keras", tmp_path / "out", options(frames))
    file = NetworkFile.open(done.path)
    seen = smooth_frames(SHAPE, 10, seed=9)
    truth = model.predict(seen / np.float32(255), verbose=0)
    with IsolatedInterpreter() as interpreter:
        interpreter.load(file.flatbuffer)
        runs = [interpreter.run({"image": (frame.astype(int) - 128).astype(np.int8)[None]}) for frame in seen]
    for spec, expected in zip(file.metadata.outputs, truth, strict=True):
        assert (1, *spec.shape) == expected[:1].shape
        levels = np.concatenate([run[spec.name] for run in runs]).astype(float)
        away = np.abs((levels - spec.zero_point) * spec.scale - expected).mean()
        assert away < 0.15 * np.abs(expected - expected.mean(axis=0)).mean()
    for reader in (ModelFile, RecognizerFile):
        with pytest.raises(ModelFileError, match=r"a whole network with samplers inside.*an app runs it"):
            reader.open(done.path)


def test_the_proof_finds_a_head_and_a_layer_that_are_not_what_they_should_be(tmp_path):
    """Real defects: one number of the head in the file, and the weights of a layer between the samplers."""
    composites.made(composites.of_feature_maps).save(tmp_path / "whole.keras")
    frames = save_frames(tmp_path, SHAPE, 12)
    (network,) = read_networks(tmp_path / "whole.keras", options(frames))
    flatbuffer, head = network.flatbuffer, network.assembly.samplers[0].head

    def failures(damage):
        model = read_model(flatbuffer)
        damage(model)
        return proof.prove(write_model(model), [network]).failures

    def of_head(model):
        (buffer,) = (b for b in model.buffers if b.data is not None and bytes(b.data) == head.bias.tobytes())
        buffer.data = np.frombuffer((head.bias + (1 << 20)).tobytes(), np.uint8)

    def of_layer(model):
        places = {t.buffer for t in model.subgraphs[0].tensors if t.type == schema.TensorType.INT8}
        weights = max(
            (model.buffers[k] for k in places if model.buffers[k].data is not None), key=lambda b: len(b.data)
        )
        weights.data = (np.frombuffer(bytes(weights.data), np.int8) // 2).view(np.uint8)

    assert "of sampler 1, frame 0" in failures(of_head)
    found = failures(of_layer)
    assert re.search("(features_1|map_1|class_scores) of frame 0", found)
    assert "of sampler 1" not in found
    assert failures(lambda model: None) == ""


def test_levels_are_handed_over_by_a_table_that_every_interpreter_reads_alike():
    given, wanted = Quantization(0.02, -128), Quantization(0.05, 3)
    values = (np.arange(-128, 128) + 128) * 0.02
    expected = np.clip(np.rint(values / 0.05) + 3, -128, 127)
    graph = FlatbufferGraph()
    image = graph.input((1, 16, 8, 2), "int8", given)
    sampled, table, read = handed_over(graph, image, wanted)
    assert (sampled, read.quantization) == (image, wanted)
    np.testing.assert_array_equal(table, expected)
    flatbuffer = graph.finish({"image": image}, {"read": read})
    assert all(check.passed for check in proof.inspect_file(flatbuffer))
    with IsolatedInterpreter() as interpreter:
        interpreter.load(flatbuffer)
        run = interpreter.run({"image": np.arange(-128, 128).astype(np.int8).reshape(1, 16, 8, 2)})
    np.testing.assert_array_equal(run["read"].ravel(), expected)


def test_levels_of_nearly_the_same_scale_stay_as_they_are():
    graph = FlatbufferGraph()
    image = graph.input((1, 16, 8, 2), "int8", Quantization(0.02, -128))
    sampled, table, read = handed_over(graph, image, Quantization(0.02 * (1 + 1e-6), -128))
    assert (sampled.index, table, read) == (image.index, None, sampled)


def test_a_transpose_in_front_has_the_same_scale_at_both_ends_then():
    graph = FlatbufferGraph()
    image = graph.input((1, 2, 16, 8), "int8", Quantization(0.02, -128))
    moved = graph.transpose(image, (0, 2, 3, 1))
    _, _, read = handed_over(graph, moved, Quantization(0.02 * (1 + 1e-6), -128))
    assert graph.tensor(image.index).quantization == graph.tensor(read.index).quantization
    assert graph.tensor(read.index).quantization.scale > np.float32(0.02)


def test_operators_are_brought_into_an_order_in_which_they_can_run():
    graph = FlatbufferGraph()
    frame, later = graph.input((1, 4), "int32"), graph.input((1, 4), "int32")
    doubled = graph.add(later, later)  # reads what is put in last
    made = graph.add(frame, graph.constant([[1, 2, 3, 4]]))
    graph.replace(later, made)
    graph.sort_operators()
    with IsolatedInterpreter() as interpreter:
        interpreter.load(graph.finish({"frame": frame}, {"doubled": doubled}))
        run = interpreter.run({"frame": np.array([[1, 1, 1, 1]], np.int32)})
    np.testing.assert_array_equal(run["doubled"], [[4, 6, 8, 10]])


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"pose_only": True}, "--pose-only leaves the sampler out, but the rest of the network follows it"),
        ({"min_coverage": 0.5}, "--min-coverage is for a Spatial Transformer at its input"),
        ({"labels": ("a", "b")}, "--labels has 2 lines, but it gives scores of 4 classes"),
    ],
)
def test_options_of_an_stn_at_the_input_are_refused(tmp_path, chosen, message):
    composites.made(composites.of_feature_maps).save(tmp_path / "whole.keras")
    with pytest.raises(UsageError, match=message):
        read_networks(tmp_path / "whole.keras", options(save_frames(tmp_path, SHAPE), **chosen))


def test_what_lies_beside_a_whole_network_is_not_left_out_in_silence(tmp_path):
    composites.made(composites.of_feature_maps).save(tmp_path / "whole.keras")
    composites.made(composites.of_feature_maps).save(tmp_path / "whole.turn.keras")
    with pytest.raises(UsageError, match=r"whole\.turn\.keras goes into the file of a Spatial Transformer at its"):
        read_networks(tmp_path / "whole.keras", options(save_frames(tmp_path, SHAPE)))
