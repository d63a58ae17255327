"""Arguments of the wrong type: an error that names the argument; what plainly means a value is taken."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import (
    CameraSource,
    CommandRecognizer,
    CornerSmoother,
    DataError,
    FrameView,
    ImageSource,
    JsonlSink,
    LabelRules,
    LabelVote,
    MissRule,
    ModelFile,
    ModelFileError,
    ModelLimits,
    PiCameraSource,
    Pipeline,
    RapidOcrRecognizer,
    RecognitionSchedule,
    RecognitionStage,
    Recognizer,
    ReconnectingSource,
    Rectifier,
    SaveSink,
    SourceError,
    TargetTracker,
    TesseractRecognizer,
    UsageError,
    VideoSource,
    draw_overview,
    open_camera,
    open_video,
)
from stn_rectify.runtime.sinks import MqttAddress, MqttSink, Pace, VideoSink

ADDRESS = MqttAddress("localhost", 1883, "a")

WRONG: dict[str, tuple[Any, ...]] = {
    "whole number": (1.5, 2.0, "2", True, np.float32(2), float("nan"), [1], b"2", 0, -1, object()),
    "whole number from 0": (1.5, 2.0, "2", True, np.float32(2), [1], b"2", -1),
    "number": ("0.5", True, np.bool_(True), float("nan"), [1.0], b"1", -1.0, -float("inf"), object()),
    "flag": (1, 0, "yes", None, [True], "False"),
    "word": (1, True, b"full", ["full"], object()),
    "address": (1, 1.5, True, object()),
    "path": (1, 1.5, True, object(), "a\0b"),
    "camera": (1.5, True, [1], None, -1, object()),
    "command": (1, True, b"full", [1], object()),
    "object": (1, "x", [1], object()),
    "size": ("320x240", (320.0, 240), (320,), (1, 2, 3), 320, (True, True), {320, 240}, (-1, 3), (0, 0)),
}


def rectifier(**options: Any) -> Rectifier:
    return Rectifier("fast", **options)


def recognizer(**options: Any) -> Recognizer:
    return Recognizer("digits", **options)


def stage(**options: Any) -> RecognitionStage:
    return RecognitionStage(str, **options)


def pipeline(**options: Any) -> Pipeline:
    return Pipeline(**{"rectifier": rectifier(), **options})


ARGUMENTS: list[tuple[Callable[..., Any], str, str]] = [
    (rectifier, "threads", "whole number"),
    (rectifier, "output", "word"),
    (rectifier, "output_size", "size"),
    (rectifier, "refine", "whole number from 0"),
    (rectifier, "scan", "word"),
    (rectifier, "margin", "number"),
    (rectifier, "upright", "word"),
    (rectifier, "limits", "object"),
    (rectifier, "blocking", "flag"),
    (recognizer, "threads", "whole number"),
    (recognizer, "beam_width", "whole number"),
    (recognizer, "sha256", "object"),
    (recognizer, "limits", "object"),
    (recognizer, "blocking", "flag"),
    (ModelLimits, "archive_bytes", "whole number"),
    (ModelLimits, "tensor_bytes", "whole number"),
    (CornerSmoother, "min_cutoff", "number"),
    (CornerSmoother, "beta", "number"),
    (CornerSmoother, "d_cutoff", "number"),
    (CornerSmoother, "jump", "number"),
    (CornerSmoother, "max_gap_s", "number"),
    (TargetTracker, "min_overlap", "number"),
    (TargetTracker, "reach", "number"),
    (TargetTracker, "max_gap_s", "number"),
    (FrameView, "hflip", "flag"),
    (FrameView, "vflip", "flag"),
    (FrameView, "rotation", "whole number from 0"),
    (FrameView, "roi", "size"),
    (LabelVote, "size", "whole number"),
    (MissRule, "min_score", "number"),
    (MissRule, "on_miss", "word"),
    (RecognitionSchedule, "every", "whole number"),
    (RecognitionSchedule, "when", "word"),
    (RecognitionSchedule, "steadiness", "object"),
    (RecognitionSchedule, "change", "object"),
    (lambda timeout_s: CommandRecognizer("true", timeout_s=timeout_s), "timeout_s", "number"),
    (CommandRecognizer, "command", "command"),
    (RapidOcrRecognizer, "threads", "whole number"),
    (TesseractRecognizer, "timeout_s", "number"),
    (TesseractRecognizer, "text", "word"),
    (LabelRules, "characters", "word"),
    (LabelRules, "min_length", "whole number from 0"),
    (LabelRules, "format", "word"),
    (LabelRules, "lookalikes", "flag"),
    (LabelRules, "known", "object"),
    (LabelRules, "known_distance", "whole number from 0"),
    (LabelRules, "names", "object"),
    (stage, "rules", "object"),
    (stage, "schedule", "object"),
    (stage, "vote", "object"),
    (stage, "track", "object"),
    (stage, "top_k", "whole number from 0"),
    (pipeline, "rectifier", "object"),
    (pipeline, "max_targets", "whole number"),
    (pipeline, "scan_every", "whole number"),
    (pipeline, "view", "object"),
    (pipeline, "rule", "object"),
    (pipeline, "smoother", "object"),
    (pipeline, "tracker", "object"),
    (lambda camera: CameraSource(camera), "camera", "camera"),
    (lambda camera: open_camera(camera), "camera", "camera"),
    (CameraSource, "width", "whole number"),
    (CameraSource, "height", "whole number"),
    (CameraSource, "framerate", "number"),
    (CameraSource, "fourcc", "word"),
    (CameraSource, "timeout_s", "number"),
    (PiCameraSource, "number", "whole number from 0"),
    (PiCameraSource, "width", "whole number"),
    (PiCameraSource, "framerate", "number"),
    (PiCameraSource, "timeout_s", "number"),
    (lambda timeout_s: VideoSource("x.mp4", timeout_s=timeout_s), "timeout_s", "number"),
    (lambda timeout_s: ReconnectingSource(str, timeout_s=timeout_s), "timeout_s", "number"),
    (lambda on_event: ReconnectingSource(str, on_event=on_event), "on_event", "object"),
    (ReconnectingSource, "open_source", "object"),
    (lambda reconnect: open_video("x.mp4", reconnect=reconnect), "reconnect", "flag"),
    (lambda reconnect: open_camera(0, reconnect=reconnect), "reconnect", "flag"),
    (lambda on_error: ImageSource("x.png", on_error=on_error), "on_error", "object"),
    (Pace, "every", "whole number"),
    (Pace, "interval_s", "number"),
    (lambda model: Rectifier(model), "model", "path"),
    (lambda model: ModelFile.open(model), "model", "path"),
    (lambda recognizer: Recognizer(recognizer), "recognizer", "path"),
    (lambda video: VideoSource(video), "video", "address"),
    (lambda video: open_video(video), "video", "address"),
    (lambda paths: ImageSource(paths), "paths", "path"),
    (lambda file: JsonlSink(file), "file", "path"),
    (lambda folder: SaveSink(folder), "folder", "path"),
    (lambda file: VideoSink(file), "file", "path"),
    (lambda framerate: VideoSink("x.mp4", framerate=framerate), "framerate", "number"),
    (lambda real_time: VideoSink("x.mp4", real_time=real_time), "real_time", "flag"),
    (lambda url: MqttAddress.parse(url), "url", "word"),
    (MqttSink, "address", "object"),
    (lambda labels: MqttSink(ADDRESS, labels=labels), "labels", "flag"),
    (lambda targets: MqttSink(ADDRESS, targets=targets), "targets", "flag"),
]


@pytest.mark.parametrize(
    ("call", "name", "kind"), ARGUMENTS, ids=[f"{call.__name__}-{name}" for call, name, _ in ARGUMENTS]
)
def test_an_argument_of_the_wrong_type_is_named(call: Callable[..., Any], name: str, kind: str) -> None:
    for value in WRONG[kind]:
        with pytest.raises(UsageError, match=rf"^{name} (is|are) "):
            call(**{name: value})


def test_labels_of_the_wrong_type() -> None:
    for labels in (3, [1, 2], {"a": 1}, ("a", b"b")):
        with pytest.raises(UsageError, match=r"^labels is .*a label a line, or a sequence of texts"):
            recognizer(labels=labels)
    with recognizer(labels=np.array([str(k) for k in range(11)])) as reader:
        assert reader.file.labels[3] == "3"


def test_numpys_numbers_are_as_good_as_pythons() -> None:
    options = {"threads": np.int64(1), "output_size": np.array([320, 240]), "refine": np.uint8(0)}
    with rectifier(**options, blocking=np.bool_(True)) as made:
        assert made.threads == 1
        assert type(made.threads) is int
        assert made.rectify(np.zeros((60, 80, 3), np.uint8)).image.shape == (240, 320, 3)
    with recognizer(threads=np.int32(2), beam_width=np.int64(1)):
        pass
    assert MissRule(np.float32(0.5)).min_score == 0.5
    CornerSmoother(np.float64(1), np.int64(15))
    view = FrameView(np.bool_(True), False, np.int64(90), np.array([0, 0, 0.5, 1]))
    assert view == FrameView(True, False, 90, (0.0, 0.0, 0.5, 1.0))
    LabelVote(np.int64(3))
    RecognitionSchedule(np.int64(3))


def test_paths_as_bytes_are_those_that_they_stand_for(tmp_path: Path, make_model: Callable[..., Path]) -> None:
    ModelFile.open(os.fsencode(make_model()))
    Rectifier(os.fsencode(make_model())).close()
    picture = tmp_path / "a.png"
    cv2.imwrite(str(picture), np.full((8, 8, 3), 50, np.uint8))
    assert len(list(ImageSource(os.fsencode(picture)))) == 1
    assert len(list(ImageSource([os.fsencode(picture), picture]))) == 2
    JsonlSink(os.fsencode(tmp_path / "a.jsonl")).close()
    assert (tmp_path / "a.jsonl").exists()
    SaveSink(os.fsencode(tmp_path / "out")).close()
    with pytest.raises(SourceError, match=r"nowhere\.mp4 does not exist"):
        VideoSource(os.fsencode(tmp_path / "nowhere.mp4"))
    with pytest.raises(ModelFileError, match=r"nowhere\.tflite does not exist"):
        Recognizer(os.fsencode(tmp_path / "nowhere.tflite"))


def test_what_methods_get(tmp_path: Path) -> None:
    frame = np.zeros((60, 80, 3), np.uint8)
    with rectifier() as made:
        for wrong in (1, "x", None, frame):
            with pytest.raises(UsageError, match=r"^location is "):
                made.sample(frame, wrong)
            with pytest.raises(UsageError, match=r"^result is "):
                draw_overview(frame, wrong)
        for wrong in ("x", b"x", object(), [[1, 2], [3]]):
            with pytest.raises(DataError, match=r"^corners "):
                made.sample(frame, made.locate(frame), corners=wrong)
        for wrong in WRONG["whole number"]:
            with pytest.raises(UsageError, match=r"^max_targets is "):
                made.locate_all(frame, wrong)
        for wrong in ("x", None, [1], frame.astype(float)):
            with pytest.raises(DataError, match=r"^the frame is"):
                draw_overview(wrong, made.rectify(frame))
