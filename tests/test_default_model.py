"""The bundled models are what their cards say, and find targets."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_rectify.converters.proof.proof import inspect_file
from stn_rectify.models.evaluation.known_frames import synthesised_hold_out
from stn_rectify.runtime import ModelFile, Rectifier, bundled_models
from stn_rectify.runtime.evaluation.corner_errors import summarise
from stn_rectify.runtime.geometry import corner_error

DATA = Path(__file__).parent.parent / "runtime" / "data"
KERAS_FILES = DATA.parent.parent / "models" / "data"


@pytest.fixture(scope="module")
def rectifier():
    with Rectifier() as rectifier:
        yield rectifier


@pytest.mark.parametrize("name", bundled_models())
def test_the_file_is_the_one_on_the_card_and_small(name):
    content = (DATA / f"{name}.tflite").read_bytes()
    assert hashlib.sha256(content).hexdigest() in (DATA / f"{name}.md").read_text()
    assert len(content) <= 600_000


@pytest.mark.parametrize("file", sorted(KERAS_FILES.glob("*.keras")), ids=lambda file: file.name)
def test_a_keras_file_to_start_from_is_the_one_on_a_card(file):
    cards = "".join(card.read_text() for card in DATA.glob("*.md"))
    assert re.search(rf"models/data/{file.name}\).*?`{hashlib.sha256(file.read_bytes()).hexdigest()}`", cards)


@pytest.mark.parametrize("name", bundled_models())
def test_the_file_is_all_integer_built_in_and_free_of_overflow(name):
    checks = inspect_file(ModelFile.open(name).flatbuffer)
    assert [check.name for check in checks if not check.passed] == []
    assert len(checks) >= 6


# Frames of one target, among lesser ones that a network which looks everywhere may take for it.
@pytest.mark.slow
@pytest.mark.parametrize(("name", "right"), [("general", 0.85), ("single", 0.9)])
def test_corners_beat_half_the_best_centred_boxs_error(name, right):
    known = synthesised_hold_out(60, seed=1, backgrounds=None)
    with Rectifier(name) as rectifier:
        results = [rectifier.rectify(frame) for frame in known.frames]
    errors = summarise(known, [r.corners for r in results], np.array([r.score for r in results]))
    assert errors.mean < errors.centred_box / 2
    assert errors.score_accuracy > right


@pytest.mark.slow
@pytest.mark.parametrize("name", ["general", "single"])
def test_refinement_more_than_halves_the_error(name):
    known = synthesised_hold_out(60, seed=1, backgrounds=None)
    with Rectifier(name, refine=0) as coarse, Rectifier(name) as fine:
        before, after = (summarise(known, [r.rectify(f).corners for f in known.frames], None) for r in (coarse, fine))
    assert after.median < before.median / 2


def test_the_sample_is_rectified(rectifier):
    truth = json.loads((DATA / "demo.truth.json").read_text())["demo.jpg"]
    result = rectifier.rectify(cv2.imread(str(DATA / "demo.jpg")))
    assert corner_error(result.corners, truth) < 0.05
    assert result.score > 0.5
