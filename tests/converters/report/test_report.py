"""The report of real conversions: numbers against the models' own outputs, the float twin, thresholds, pictures."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cached_property

import keras
import numpy as np
import pytest
import tensorflow as tf

from stn_rectify.converters.conversion import convert
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.reading.calibration import read_frames
from stn_rectify.converters.reading.keras_parts import split_keras_model
from stn_rectify.converters.report.comparisons.stn_comparison import compare, gate
from stn_rectify.converters.report.latency import float_twin, measure_latencies
from stn_rectify.converters.report.pictures.frame_pictures import take_alignment, take_pictures
from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter
from stn_rectify.models.network.keras_file import load_model
from stn_rectify.runtime.geometry import homography_to_corners, theta_to_homography
from stn_rectify.runtime.model.model_file import ModelFile
from tests.converters.keras_models import save_frames, save_model, save_recognizing_model

COUNT = 24
SIDE = 32


class Converted:
    """A model before and after, and what both give for the same frames, computed plainly."""

    def __init__(self, folder, source, shape, **options):
        frames = save_frames(folder, shape, COUNT)
        convert(source, folder / "out", ConversionOptions(frames, latency=False, **options))
        self.keras = load_model(source)
        self.parts = split_keras_model(self.keras)
        self.file = ModelFile.open(folder / "out" / f"{source.stem}.tflite")
        self.validation = read_frames(frames, shape, (0.0, 1.0))
        self.quantized = (np.load(frames)["frames"] ^ 128).view(np.int8)
        self.float = self.parts.run(self.validation.frames)
        with IsolatedInterpreter() as interpreter:
            interpreter.load(self.file.flatbuffer)
            runs = [interpreter.run({"frame": frame[None]}) for frame in self.quantized]
        self.int8 = {name: np.concatenate([run[name] for run in runs]) for name in runs[0]}

    def corners(self, theta):
        return homography_to_corners(theta_to_homography(theta), SIDE, SIDE)

    @property
    def float_corners(self):
        return self.corners(self.float["theta"])

    @property
    def int8_corners(self):
        return self.corners(self.int8["theta"] / 2**20)

    @cached_property
    def plain(self):
        """Compared without truth."""
        return self.compare()

    @cached_property
    def exact(self):
        """Compared with the float model's corners as truth."""
        return self.compare(corners=self.float_corners)

    def compare(self, **known):
        return compare(self.file, self.parts, replace(self.validation, **known), self.quantized)

    def latencies(self, function):
        return measure_latencies(self.file.flatbuffer, function, self.validation.frames, self.quantized)


@pytest.fixture(scope="module")
def recognizing(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recognizing")
    return Converted(folder, save_recognizing_model(folder, "reader"), (SIDE, SIDE, 1))


@pytest.fixture(scope="module")
def pose_only(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pose")
    return Converted(folder, save_model(folder, "pose", (SIDE, SIDE, 3)), (SIDE, SIDE, 3), pose_only=True)


def test_corner_error_is_the_distance_between_the_two_models_corners(recognizing):
    comparison = recognizing.plain
    distance = np.linalg.norm(recognizing.float_corners - recognizing.int8_corners, axis=-1)
    assert distance.max() > 1e-4
    assert comparison.frames == COUNT
    assert comparison.corners_mean_px == pytest.approx(distance.mean())
    assert comparison.corners_p95_px == pytest.approx(np.percentile(distance, 95))
    assert comparison.corners_max_px == pytest.approx(distance.max())


def test_levels_and_scores_are_those_of_the_outputs(recognizing):
    comparison = recognizing.plain
    levels = np.abs(recognizing.float["rectified"] * 255 - 128 - recognizing.int8["rectified"])
    assert comparison.rectified_levels_mean == pytest.approx(levels.mean(), rel=1e-3)
    assert comparison.rectified_levels_p95 == pytest.approx(np.percentile(levels.mean(axis=(1, 2, 3)), 95), rel=1e-3)
    assert 0 < comparison.levels_mean <= comparison.levels_max <= 2
    spec = recognizing.file.metadata.score
    score = (recognizing.int8["score"] - np.float64(spec.zero_point)) * spec.scale
    assert comparison.score.max == pytest.approx(np.abs(score - recognizing.float["score"]).max())


def test_class_agreement_and_accuracy_are_those_of_the_largest_scores(recognizing):
    named_float, named_int8 = (o["class_scores"].argmax(axis=1) for o in (recognizing.float, recognizing.int8))
    assert len(set(named_float)) > 1
    labels = named_float.copy()
    labels[:4] = -1  # not known
    labels[4:7] = (labels[4:7] + 1) % 5  # wrong in float
    agreement = recognizing.compare(labels=labels).class_scores
    assert agreement.top1_agreement == np.mean(named_float == named_int8)
    assert agreement.labelled == COUNT - 4
    assert agreement.accuracy_float == (COUNT - 7) / (COUNT - 4)
    assert agreement.accuracy_int8 == np.mean(named_int8[4:] == labels[4:])
    unknown = recognizing.plain.class_scores
    assert (unknown.labelled, unknown.accuracy_float, unknown.accuracy_int8) == (0, None, None)


def test_a_target_where_the_float_model_finds_it_is_kept_whole_by_it(recognizing):
    comparison = recognizing.exact
    assert comparison.known_targets == COUNT
    assert comparison.float_targets.corners_max_px == pytest.approx(0, abs=1e-6)
    assert comparison.float_targets.coverage_min == pytest.approx(1)
    assert comparison.float_targets.filled_mean == pytest.approx(1)
    distance = np.linalg.norm(recognizing.float_corners - recognizing.int8_corners, axis=-1)
    assert comparison.int8_targets.corners_mean_px == pytest.approx(distance.mean())
    assert 0.9 < comparison.int8_targets.coverage_min < 1


def test_a_model_that_cuts_half_of_the_target_away_is_seen(recognizing):
    """The target reaches twice as far to the right as what the model shows."""
    corners = recognizing.float_corners.copy()
    upper_left, upper_right, lower_right, lower_left = np.moveaxis(corners, 1, 0)
    corners[:, 1] = 2 * upper_right - upper_left
    corners[:, 2] = 2 * lower_right - lower_left
    comparison = recognizing.compare(corners=corners)
    assert comparison.float_targets.coverage_mean == pytest.approx(0.5, abs=0.12)
    assert comparison.float_targets.filled_mean == pytest.approx(1)
    (check,) = gate(comparison, None, 0.8)
    assert not check.passed


def test_frames_without_truth_are_left_out_and_targets_elsewhere_count_as_lost(recognizing):
    corners = recognizing.float_corners.copy()
    corners[3:] = np.nan
    corners[1] += 1000
    comparison = recognizing.compare(corners=corners)
    assert comparison.known_targets == 3
    assert comparison.float_targets.coverage_mean == pytest.approx(2 / 3)
    assert comparison.float_targets.coverage_min == 0
    assert recognizing.compare(corners=np.full((COUNT, 4, 2), np.nan)).float_targets is None


def test_thresholds_pass_or_fail_by_their_percentiles(recognizing):
    comparison = recognizing.exact
    error, coverage = comparison.corners_p95_px, comparison.int8_targets.coverage_p5
    assert gate(comparison, None, None) == []
    assert [check.passed for check in gate(comparison, error, coverage)] == [True, True]
    assert [check.passed for check in gate(comparison, error * 0.99, coverage + 1e-6)] == [False, False]


def test_coverage_without_known_corners_fails_and_says_what_to_give(recognizing):
    (check,) = gate(recognizing.plain, None, 0.1)
    assert not check.passed
    assert "truth.json" in check.found
    assert "--validation" in check.found


@pytest.mark.slow
def test_a_pose_only_file_is_compared_by_its_pose(pose_only):
    comparison = pose_only.exact
    assert (comparison.levels_max, comparison.rectified_levels_mean, comparison.class_scores) == (None, None, None)
    assert comparison.corners_max_px > 0
    assert comparison.float_targets.coverage_min == pytest.approx(1)
    pictures = take_pictures(pose_only.file.metadata.input, pose_only.parts, pose_only.validation, comparison)
    assert {picture.rectified_int8 is None for picture in pictures} == {True}


def test_the_numbers_can_be_written_as_json(recognizing):
    summary = recognizing.exact.summary()
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert "outputs" not in summary


def test_pictures_go_from_the_best_frame_to_the_worst(recognizing):
    comparison = recognizing.exact
    pictures = take_pictures(recognizing.file.metadata.input, recognizing.parts, recognizing.validation, comparison)
    errors = [picture.corner_error_px for picture in pictures]
    assert len(pictures) == 8
    assert errors == sorted(errors)
    by_frame = comparison.outputs.corner_error_px
    assert (errors[0], errors[-1]) == (by_frame.min(), by_frame.max())
    assert (pictures[0].rank, pictures[3].rank, pictures[-1].rank) == ("best", "median", "worst")
    worst = pictures[-1]
    levels = recognizing.validation.frames[worst.number, ..., 0] * 255
    np.testing.assert_array_equal(worst.frame[..., 0], levels.round())
    assert worst.rectified_int8.shape == worst.difference.shape == (20, 24, 3)
    difference = worst.rectified_int8.astype(int) - worst.rectified_float
    assert np.abs(worst.difference.astype(int) - np.clip(128 + 8 * difference, 0, 255)).max() <= 8 * 0.5 + 1


def test_alignment_pictures_follow_what_is_known(recognizing):
    """Without truth: two means and what lies between the models. With it one more in each line, and its histograms."""
    file, parts = recognizing.file, recognizing.parts
    plain = take_alignment(file.metadata.input, parts, recognizing.validation, recognizing.plain)
    with_truth = replace(recognizing.validation, corners=recognizing.float_corners)
    exact = take_alignment(file.metadata.input, parts, with_truth, recognizing.exact)
    assert len(plain) == 3
    assert len(exact) == 4
    below_heading, beyond_int8 = slice(35, None), slice(312, 420)  # where the means by the true corners are
    assert (plain[0].image[below_heading, beyond_int8] == 255).all()
    assert (exact[0].image[below_heading, beyond_int8] < 230).any()
    labelled = replace(with_truth, labels=np.arange(COUNT) % 2)
    by_label = take_alignment(file.metadata.input, parts, labelled, recognizing.exact)
    assert by_label[0].image.shape[0] > 2 * exact[0].image.shape[0]
    for picture in (*plain, *exact, *by_label):
        assert 0.02 < (picture.image < 230).any(axis=2).mean() < 0.98


def test_few_frames_give_few_pictures_and_each_frame_once(recognizing):
    some = replace(recognizing.validation, frames=recognizing.validation.frames[:3])
    comparison = compare(recognizing.file, recognizing.parts, some, recognizing.quantized[:3])
    pictures = take_pictures(recognizing.file.metadata.input, recognizing.parts, some, comparison)
    assert sorted(picture.number for picture in pictures) == [0, 1, 2]
    assert (pictures[0].rank, pictures[-1].rank) == ("best", "worst")


@pytest.mark.slow
def test_the_float_twin_is_the_keras_model_with_the_files_outputs(recognizing):
    twin = float_twin(recognizing.parts.whole, {"theta", "rectified", "class_scores"}, (SIDE, SIDE, 1))
    frame = recognizing.validation.frames[:1]
    tflite = tf.lite.Interpreter(model_content=twin)  # the outputs have no names in it
    tflite.allocate_tensors()
    tflite.set_tensor(tflite.get_input_details()[0]["index"], frame)
    tflite.invoke()
    outputs = [tflite.get_tensor(output["index"]) for output in tflite.get_output_details()]
    expected = recognizing.keras.predict(frame, verbose=0)
    assert len(outputs) == 3
    assert len({array.shape for array in outputs}) == 3
    for array in outputs:
        assert array.dtype == np.float32
        assert any(array.shape == e.shape and np.allclose(array, e, atol=1e-4) for e in expected)


def test_latency_is_measured_in_every_installed_interpreter(recognizing, interpreter):
    latencies = recognizing.latencies(recognizing.parts.whole)
    (latency,) = (one for one in latencies if one.interpreter == interpreter.package)
    assert latency.problem is None
    assert latency.rounds >= 50
    assert latency.speed == pytest.approx(latency.float_ms / latency.int8_ms)
    assert 0 < latency.speed_p10 <= latency.speed_p90


def test_a_float_model_that_tensorflow_cannot_convert_is_said_not_raised(recognizing):
    def unknown_to_tflite(frame):
        return {"theta": keras.ops.fft((frame, frame))[0]}

    latencies = recognizing.latencies(unknown_to_tflite)
    assert all(latency.speed is None and "TensorFlow cannot convert" in latency.problem for latency in latencies)


def test_models_are_timed_in_turns(recognizing, interpreter):
    models = [(recognizing.file.flatbuffer, recognizing.quantized[:1])] * 3
    seconds = interpreter.time(models, rounds=7, budget_s=0)
    assert seconds.shape == (7, 3)
    assert (seconds >= 0).all()
