"""The bundled digits model and recognizer are what their card says."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from stn_rectify.converters.proof.proof import inspect_file
from stn_rectify.runtime import ModelFile
from stn_rectify.runtime.recognition.recognizer_file import RecognizerFile

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
    assert recognizer.labels == tuple("0123456789")
