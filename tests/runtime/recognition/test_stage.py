"""When targets are recognized, what they are called in between, and the vote."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import (
    CapturedFrame,
    LabelVote,
    MissRule,
    Pipeline,
    Recognition,
    RecognitionSchedule,
    RecognitionStage,
    Rectification,
    Rectifier,
    UsageError,
)
from stn_rectify.runtime.command.cli import main

SQUARE = np.array([[100, 100], [200, 100], [200, 200], [100, 200]], np.float64)
SIZE = 100 * np.sqrt(2)


def text_picture(text: str, *, gain: float = 1.0, offset: float = 0.0, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    image = np.full((60, 240, 3), 220, np.uint8)
    cv2.putText(image, text, (12, 46), cv2.FONT_HERSHEY_DUPLEX, 1.6, (30, 30, 30), 3, cv2.LINE_AA)
    noisy = image * gain + offset + np.random.default_rng(seed).normal(0, noise, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def result(corners: np.ndarray = SQUARE, image: np.ndarray | None = None) -> Rectification:
    return Rectification(text_picture("A") if image is None else image, corners, np.eye(3), 1.0, 1.0)


class Counting:
    """Says how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def recognize(self, image: np.ndarray) -> str:
        self.calls += 1
        return str(self.calls)


def labels(stage: RecognitionStage, results: Sequence[Rectification]) -> list[str | None]:
    return [stage.process(one, number / 30).label for number, one in enumerate(results)]


@pytest.mark.parametrize(
    ("said", "label", "score", "top"),
    [
        ("AB 12", "AB 12", None, (("AB 12", None),)),
        (("AB 12", None), "AB 12", None, (("AB 12", None),)),
        (("AB 12", 0.4), "AB 12", 0.4, (("AB 12", 0.4),)),
        (Recognition("b", 0.7, np.array([0.1, 0.7, 0.2])), "b", 0.7, (("1", 0.7), ("2", 0.2))),
        ("", None, None, (("", None),)),
        (("", 0.4), None, 0.4, (("", 0.4),)),
        (Recognition(None, 0.9), None, 0.9, ()),
        (None, None, None, ()),
    ],
    ids=[
        "text",
        "text without a score",
        "text and score",
        "recognition",
        "empty text",
        "empty text and score",
        "nothing known",
        "nothing",
    ],
)
def test_a_function_may_be_the_recognizer(
    make_model: Callable[..., Path],
    frame: np.ndarray,
    said: object,
    label: str | None,
    score: float | None,
    top: tuple[tuple[str, float], ...],
) -> None:
    seen = []

    def read(image: np.ndarray) -> object:
        seen.append(image)
        return said

    frame[:40, :40] = 200  # the test model's score
    with Rectifier(make_model()) as rectifier:
        done = Pipeline(rectifier, recognizer=RecognitionStage(read, top_k=2)).process(CapturedFrame("a", 0, 0, frame))
        plain = Pipeline(rectifier, recognizer=read).process(CapturedFrame("a", 0, 0, frame)).result
    assert (done.result.label, done.result.label_score, done.result.top_labels) == (label, score, top)
    assert (plain.label, plain.label_score, plain.top_labels) == (label, score, ())
    np.testing.assert_array_equal(seen[0], done.result.image)


@pytest.mark.parametrize("said", [7, ("a", 1.5), ("a", "b", "c"), (1, "a")])
def test_a_function_that_says_something_else_is_one_clear_error(said: object) -> None:
    with pytest.raises(UsageError, match=r"the recognizer said .* it may return a Recognition, a str,"):
        RecognitionStage(lambda image: said).process(result(), 0.0)


def test_what_cannot_recognize_is_refused() -> None:
    with pytest.raises(UsageError, match="is no recognizer"):
        RecognitionStage(7)


def test_every_third_frame_is_recognized_and_the_label_stays_in_between() -> None:
    stage = RecognitionStage(Counting(), schedule=RecognitionSchedule(every=3))
    assert labels(stage, [result()] * 8) == ["1", "1", "1", "2", "2", "2", "3", "3"]


def test_another_target_is_recognized_at_once() -> None:
    stage = RecognitionStage(Counting(), schedule=RecognitionSchedule(every=5))
    moving = [result(SQUARE + np.array([0.15 * SIZE * step, 0])) for step in range(3)]
    elsewhere = result(SQUARE + 200)
    assert labels(stage, [*moving, elsewhere, elsewhere]) == ["1", "1", "1", "2", "2"]
    assert stage.process(elsewhere, 10.0).label == "3"  # after seconds without a frame
    stage.reset()
    assert stage.process(elsewhere, 10.03).label == "4"


def test_a_frame_without_a_target_ends_the_label(make_model: Callable[..., Path], frame: np.ndarray) -> None:
    stage = RecognitionStage(Counting(), schedule=RecognitionSchedule(every=5))
    with Rectifier(make_model()) as rectifier:
        pipeline = Pipeline(rectifier, rule=MissRule(0.5), recognizer=stage)
        found = []
        for number, score in enumerate((200, 200, 100, 200)):
            frame[:40, :40] = score
            found.append(pipeline.process(CapturedFrame("a", number, number / 30, frame.copy())).result.label)
    assert found == ["1", "1", None, "2"]


def test_only_a_steady_target_is_recognized_and_keeps_its_label_when_it_moves() -> None:
    stage = RecognitionStage(Counting(), schedule=RecognitionSchedule(when="steady"))
    rng = np.random.default_rng(0)
    trembling = [result(SQUARE + rng.normal(0, 0.004 * SIZE, (4, 2))) for _ in range(6)]
    moving = [result(SQUARE + np.array([0.02 * SIZE * step, 0])) for step in range(1, 7)]
    assert labels(stage, [*trembling, *moving]) == [None] * 4 + ["1"] + ["2"] * 7


def test_a_picture_is_recognized_again_when_it_has_changed() -> None:
    stage = RecognitionStage(Counting(), schedule=RecognitionSchedule(when="changed"))
    same = [result(image=text_picture("AB12CD3", noise=8, seed=seed)) for seed in range(3)]
    darker = result(image=text_picture("AB12CD3", gain=0.6, offset=15))
    grey = result(image=cv2.cvtColor(text_picture("AB12CD3"), cv2.COLOR_BGR2GRAY))
    other = result(image=text_picture("AB12CD8"))
    other_size = result(image=cv2.resize(text_picture("AB12CD8"), (200, 60)))
    assert labels(stage, [*same, darker, grey, other, other_size, same[0]]) == ["1"] * 5 + ["2"] * 2 + ["3"]


def test_changes_are_recognized_no_oftener_than_every_so_many_frames() -> None:
    stage = RecognitionStage(Counting(), schedule=RecognitionSchedule(every=3, when="changed"))
    first, other = result(image=text_picture("AB12CD3")), result(image=text_picture("XYZ"))
    assert labels(stage, [first, other, other, other, other]) == ["1", "1", "1", "2", "2"]


@pytest.mark.parametrize(
    ("given", "label", "score"),
    [
        ([("A", 0.9), ("B", 0.6), ("B", 0.6)], "B", 1.2 / 3),
        ([("A", 0.9), ("B", 0.6)], "A", 0.9 / 2),
        ([("A", 0.5), ("B", 0.5)], "B", 0.5 / 2),
        ([("A", 1.0), ("A", 1.0), ("B", 0.5), ("B", 0.5), ("C", 0.5)], "B", 1.0 / 3),
        ([("A", 0.9), (None, 0.6), (None, 0.6)], None, 1.2 / 3),
        ([("A", 0.9), ("B", None), ("B", None)], "B", None),
    ],
    ids=["majority", "higher scores", "newest", "only the last three", "nothing known", "without scores"],
)
def test_the_majority_is_the_label(given: list[tuple[str, float]], label: str, score: float) -> None:
    vote = LabelVote(3)
    found = [vote.add(Recognition(*one)) for one in given][-1]
    assert (found.label, found.score) == (label, None if score is None else pytest.approx(score))


def test_votes_are_of_one_target_and_nothing_read_is_no_vote() -> None:
    said = iter(["A", "A", "B", None, "B", "B"])
    stage = RecognitionStage(lambda image: next(said), vote=LabelVote(5))
    assert labels(stage, [result()] * 4) == ["A", "A", "A", "A"]
    assert stage.process(result(SQUARE + 300), 0.2).label == "B"
    assert stage.process(result(SQUARE + 300), 0.3).label_score is None  # who gives no scores gets none


@pytest.mark.parametrize(
    "make",
    [
        lambda: RecognitionSchedule(every=0),
        lambda: RecognitionSchedule(when="sometimes"),
        lambda: LabelVote(0),
        lambda: RecognitionStage(Counting(), top_k=-1),
    ],
    ids=["every", "when", "vote", "top_k"],
)
def test_arguments_out_of_range_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        make()


def test_the_command_recognizes_now_and_then_and_takes_the_majority(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], make_model: Callable[..., Path]
) -> None:
    """Zeros in a video, as large as a rectified digit is, but for the fifth and the sixth frame."""
    video = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 30, (420, 420))
    for number in range(9):
        frame = np.zeros((420, 420, 3), np.uint8)
        cv2.putText(frame, "7" if number in (4, 5) else "0", (90, 330), cv2.FONT_HERSHEY_DUPLEX, 12, (255,) * 3, 36)
        frame[:40, :40] = 200  # where the test model reads its score
        video.write(frame)
    video.release()
    model = make_model((1.0, 0, 0, 0, 1.0, 0, 0, 0))
    source = ["--video", str(tmp_path / "a.avi"), "--model", str(model), "--recognizer", "digits", "--jsonl", "-"]
    found = {}
    for name, options in {"each": [], "second": ["--every", "2"], "vote": ["--every", "2", "--vote", "3"]}.items():
        assert main([*source, *options]) == 0
        found[name] = "".join(json.loads(line)["label"] for line in capfd.readouterr().out.splitlines())
    assert found == {"each": "000077000", "second": "000077000", "vote": "000000000"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--image", "a.png", "--recognizer", "digits", "--every", "2"], "--every needs --camera or --video"),
        (["--image", "a.png", "--recognizer", "digits", "--vote", "3"], "--vote needs --camera or --video"),
        (
            ["--image", "a.png", "--recognizer", "digits", "--recognize-when", "steady"],
            "--recognize-when needs --camera",
        ),
        (["--camera", "0", "--vote", "3"], "--vote needs --recognizer or --recognizer-command"),
        (["--demo", "--labels", "a.txt"], "--labels needs --recognizer"),
        (["--demo", "--top-k", "3"], "--top-k needs --recognizer"),
        (["--demo", "--recognizer", "digits", "--beam-width", "3"], "is a classifier, there is nothing to search"),
        (["--demo", "--recognizer", "digits", "--labels", "missing.txt"], "labels missing.txt cannot be read"),
    ],
)
def test_options_that_do_not_go_together(capfd: pytest.CaptureFixture[str], options: list[str], message: str) -> None:
    assert main(options) == 2
    assert message in capfd.readouterr().err


def test_images_leave_aside_what_a_file_says_of_frames_that_follow_one_another(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "options.toml"
    config.write_text('camera = 0\nrecognizer = "digits"\nevery = 3\nvote = 5\nrecognize-when = "steady"\ntop-k = 2\n')
    assert main(["--config", str(config), "--print-config"]) == 0
    kept = capfd.readouterr().out
    assert all(line in kept for line in ("every = 3", "vote = 5", 'recognize-when = "steady"', "top-k = 2"))
    assert main(["--config", str(config), "--demo", "--print-config"]) == 0
    left = capfd.readouterr().out
    assert all(line in left for line in ("every = 1", "vote = 1", 'recognize-when = "always"', "top-k = 2"))
