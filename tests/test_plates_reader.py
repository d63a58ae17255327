"""The bundled reader of plates is what its card says, and reads what the bundled model finds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_rectify.converters.proof.proof import inspect_file
from stn_rectify.models.synthesis.legible import LegibleSynthesiser
from stn_rectify.models.synthesis.photography.pasting import paste_texture
from stn_rectify.models.synthesis.synthesiser import target_outline
from stn_rectify.models.synthesis.targets.legible_plates.drawing import draw_legible_plate
from stn_rectify.models.synthesis.targets.legible_plates.texts import CHARACTERS
from stn_rectify.runtime import CapturedFrame, Pipeline, Recognizer, Rectifier
from stn_rectify.runtime.command.cli import main
from stn_rectify.runtime.command.options.run_options import parse_options
from stn_rectify.runtime.command.options.target import open_rectifier
from stn_rectify.runtime.recognition.recognizer_file import RecognizerFile

DATA = Path(__file__).parent.parent / "runtime" / "data"


@pytest.fixture(scope="module")
def opened() -> RecognizerFile:
    return RecognizerFile.open("plates")


def frame_of(seed: int, formats: tuple[str, ...] = ("AA-999 AA",)) -> tuple[np.ndarray, str]:
    """A frame 640x480 with a plate in perspective on a plain ground, and the plate's text."""
    rng = np.random.default_rng(seed)
    plate = draw_legible_plate(rng, formats)
    frame = np.full((480, 640, 3), rng.integers(60, 160, 3), np.uint8)
    half = np.array([110.0, 110.0 / plate.texture.aspect])
    angle = rng.uniform(-0.2, 0.2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = (np.array([[-1, -1], [1, -0.9], [1, 0.9], [-1, 1]]) * half) @ turn.T + (320, 240)
    paste_texture(frame, plate.texture.image, target_outline(corners, plate.texture))
    return np.asarray(cv2.GaussianBlur(frame, (0, 0), 0.7)), plate.label


def test_the_file_is_the_one_on_the_card_and_small():
    content = (DATA / "plates.recognizer.tflite").read_bytes()
    assert hashlib.sha256(content).hexdigest() in (DATA / "plates.md").read_text(encoding="utf-8")
    assert len(content) <= 300_000


def test_the_file_is_all_integer_built_in_and_free_of_overflow(opened):
    assert opened.is_integer
    assert [check.name for check in inspect_file(opened.flatbuffer) if not check.passed] == []


def test_it_reads_capitals_and_digits_in_steps(opened):
    assert "".join(opened.labels) == CHARACTERS  # the blank's is empty
    assert opened.image.shape == (1, 32, 128, 1)
    assert opened.sequence is not None


@pytest.mark.parametrize(("form", "least"), [("AA-999AA", 0.45), ("AAA|9999", 0.15), ("9A9 9999", 0.35)])
def test_it_reads_synthesised_plates_that_it_has_not_seen(form, least):
    """They are small, dark, blurred and dirty, and many nobody could read; by chance none would be right."""
    draw = LegibleSynthesiser(seed=987_654, size=(128, 32), margin=0.05, formats=(form,))
    with Recognizer("plates") as recognizer:
        right = [recognizer.recognize(sample.crop).label == sample.label for sample in map(draw, range(40))]
    assert np.mean(right) >= least


def test_the_whole_chain_reads_plates_in_frames():
    frames = [frame_of(seed) for seed in range(12)]
    with Rectifier("plates") as rectifier:
        pipeline = Pipeline(rectifier, recognizer="plates")
        captured = [CapturedFrame("test", k, 1000.0 + 10 * k, frame) for k, (frame, _) in enumerate(frames)]
        read = [pipeline.process(frame).result.label for frame in captured]
    assert sum(label == text for label, (_, text) in zip(read, frames, strict=True)) >= 8


def test_the_command_reads_a_plate(tmp_path, capfd):
    frame, text = frame_of(0)
    cv2.imwrite(str(tmp_path / "car.png"), frame)
    assert (
        main(["--image", str(tmp_path / "car.png"), "--model", "plates", "--recognizer", "plates", "--jsonl", "-"]) == 0
    )
    line = json.loads(capfd.readouterr().out.splitlines()[0])
    assert line["label"] == text
    assert 0 < line["label_score"] <= 1


@pytest.mark.parametrize(
    ("words", "size", "margin"),
    [
        ("", (128, 32), 0.05),
        ("--smooth", (128, 32), 0.05),
        ("--margin 0", (128, 32), 0.0),
        ("--margin 0.1", (128, 32), 0.1),
        ("--output-size 200x50", (200, 50), 0.0),
    ],
)
def test_it_gets_the_margin_that_it_was_trained_with_unless_another_is_asked_for(words, size, margin):
    options = parse_options(f"--demo --model plates --recognizer plates {words}".split())
    smooth = "--smooth" in words
    with Recognizer("plates") as recognizer, open_rectifier(options.model, recognizer, smooth=smooth) as rectifier:
        assert rectifier.margin == margin
        assert rectifier.rectify(frame_of(0)[0]).image.shape[1::-1] == size
