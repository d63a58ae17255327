"""The bundled digits model and recognizer are what their card says."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_rectify.converters.proof.proof import inspect_file
from stn_rectify.runtime import ModelFile, Recognizer, Rectifier
from stn_rectify.runtime.recognition.recognizer_file import RecognizerFile
from stn_rectify.runtime.sources.by_name import DEMO_IMAGE

DATA = Path(__file__).parent.parent / "runtime" / "data"


@pytest.mark.parametrize("name", ["digits.tflite", "digits.recognizer.tflite"])
def test_the_file_is_the_one_on_the_card_and_small(name):
    content = (DATA / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() in (DATA / "digits.md").read_text()
    assert len(content) <= 200_000


@pytest.mark.parametrize("opened", [ModelFile, RecognizerFile])
def test_the_file_is_all_integer_built_in_and_free_of_overflow(opened):
    checks = inspect_file(opened.open("digits").flatbuffer)
    assert [check.name for check in checks if not check.passed] == []


def test_the_localization_network_is_small_and_the_sizes_fit():
    model, recognizer = ModelFile.open("digits").metadata, RecognizerFile.open("digits")
    assert model.parameters < 40_000
    assert recognizer.image.shape == (1, model.rectified.height, model.rectified.width, model.rectified.channels)
    assert recognizer.labels == (*"0123456789", "<nothing>")


@pytest.mark.parametrize("model", ["digits", "general"])
def test_the_sample_is_no_digit(model):
    """A softmax of ten classes alone is sure of one of them."""
    with Recognizer("digits") as recognizer, Rectifier(model, output_size=recognizer.input_size) as rectifier:
        found = recognizer.label(rectifier.rectify(cv2.imread(str(DEMO_IMAGE))))
    assert found.label is None
    assert found.label_score > 0.5


def test_an_empty_picture_is_no_digit():
    with Recognizer("digits") as recognizer:
        assert {recognizer.recognize(np.full((28, 28), level, np.uint8)).label for level in (0, 60, 128, 255)} == {None}
