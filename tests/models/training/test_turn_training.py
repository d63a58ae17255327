"""Training of a turn network: its samples, and a short course from end to end."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stn_rectify.models.command.cli import parse_options
from stn_rectify.models.evaluation.known_frames import KnownFrames
from stn_rectify.models.evaluation.turn_accuracy import evaluate_turns
from stn_rectify.models.files import TURN
from stn_rectify.models.network.keras_file import load_model, network_kind
from stn_rectify.models.network.turn import TURN_DETAILS
from stn_rectify.models.synthesis import upright
from stn_rectify.models.synthesis.targets.kinds import TargetTexture
from stn_rectify.models.synthesis.targets.legible_plates.drawing import LegiblePlate
from stn_rectify.models.synthesis.targets.typeset.kinds import draw_typeset_target
from stn_rectify.models.synthesis.upright import UprightSynthesiser
from stn_rectify.models.training.samples.turn_batches import turned_crop
from stn_rectify.models.training.turn_training import TurnRecipe, train_turn
from stn_rectify.runtime.errors import DataError, UsageError


def arrow(side: int = 160) -> np.ndarray:
    """A picture that is brightest at its top."""
    picture = np.zeros((side, side, 3), np.uint8)
    picture[30:60, 25 : side - 25] = 255
    return picture


@pytest.mark.parametrize("turn", range(4))
def test_a_sample_is_upright_after_the_turn_that_it_is_labelled_with(turn):
    seen = turned_crop(np.random.default_rng(turn), arrow(), 1.0, turn, 64)
    upright = np.rot90(seen, -turn)
    assert upright[:24].mean() > 2 * upright[24:].mean() + 20


@pytest.mark.parametrize(("aspect", "turn"), [(3.0, 0), (3.0, 1), (0.5, 0), (0.5, 3)])
def test_a_sample_keeps_the_targets_aspect(aspect, turn):
    seen = turned_crop(np.random.default_rng(0), np.zeros((160, 160, 3), np.uint8), aspect, turn, 64)
    rows, columns = (np.flatnonzero((seen == 0).all(axis=2).any(axis=axis)).size for axis in (1, 0))
    wanted = aspect if turn % 2 == 0 else 1 / aspect
    assert columns / rows == pytest.approx(wanted, rel=0.1)


def test_the_same_index_is_the_same_target_and_another_is_another():
    draw = UprightSynthesiser(seed=5, size=48)
    first, again, other = draw(3), draw(3), draw(4)
    np.testing.assert_array_equal(first.crop, again.crop)
    assert first.crop.shape == (48, 48, 3)
    assert not np.array_equal(first.crop, other.crop)
    assert 0.1 < first.aspect < 8


def test_most_targets_have_words_and_some_are_plates_as_a_reader_learns_them(monkeypatch):
    drawn = []
    blank = TargetTexture("page", np.full((60, 80, 3), 120, np.uint8), 80 / 60, 0.0, is_flexible=False)

    def draws(source, target):
        return lambda *_, **__: drawn.append(source) or target

    monkeypatch.setattr(upright, "draw_legible_plate", draws("plate", LegiblePlate(blank, "A1")))
    monkeypatch.setattr(upright, "draw_typeset_target", draws("words", blank))
    draw, count = UprightSynthesiser(seed=5, size=32), 80
    for index in range(count):
        draw(index)
    assert drawn.count("words") / count == pytest.approx(0.55, abs=0.15)
    assert drawn.count("plate") / count == pytest.approx(0.25, abs=0.12)
    assert len(drawn) < count


def test_prints_with_words_are_of_many_kinds_and_have_ink():
    rng = np.random.default_rng(1)
    pictures = [np.full((60, 80, 3), 120, np.uint8)]
    drawn = [draw_typeset_target(rng, pictures) for _ in range(40)]
    assert len({target.kind for target in drawn}) > 5
    for target in drawn:
        assert target.image.std() > 3, target.kind
        height, width = target.image.shape[:2]
        assert width / height == pytest.approx(target.aspect, rel=0.5)


def test_own_targets_and_bad_arguments(tmp_path):
    cv2.imwrite(str(tmp_path / "own.png"), arrow(100))
    sample = UprightSynthesiser(seed=1, size=64, targets=tmp_path)(0)
    assert sample.kind == "own"
    with pytest.raises(DataError, match="seed -1"):
        UprightSynthesiser(seed=-1)
    with pytest.raises(DataError, match="sample index -1"):
        UprightSynthesiser()(-1)


def test_a_course_learns_which_side_of_an_own_target_is_up(tmp_path):
    (tmp_path / "own").mkdir()
    cv2.imwrite(str(tmp_path / "own" / "a.png"), arrow(120))
    cv2.imwrite(str(tmp_path / "own" / "b.png"), cv2.resize(arrow(120), (180, 120)))
    out = tmp_path / "own.turn.keras"
    recipe = TurnRecipe(
        input_shape=(32, 32, 1), samples=160, epochs=24, batch_size=16, width=0.5, targets=str(tmp_path / "own")
    )
    train_turn(recipe, out)
    assert network_kind(out) == TURN
    assert not out.with_suffix(".training").exists()
    with np.load(out.with_suffix(".calibration.npz")) as stored:
        assert stored["frames"].shape == (160, 32, 32, 1)
        assert set(stored["labels"].tolist()) <= {0, 1, 2, 3}
        assert stored["details"] == TURN_DETAILS
    frame = np.full((200, 260, 3), 90, np.uint8)
    frame[40:160, 70:190] = arrow(120)
    corners = np.array([[69.5, 39.5], [189.5, 39.5], [189.5, 159.5], [69.5, 159.5]])
    (accuracy,) = evaluate_turns(load_model(out), [KnownFrames("own", (frame,), (corners,))])
    assert (accuracy.count, accuracy.right) == (4, 1.0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--out labels.keras", "a turn network is called NAME.turn.keras"),
        ("--out a.turn.keras --input-shape 96x64x1", "both sides must be the same multiple of 16"),
        ("--out a.turn.keras --samples 10", "less than one batch"),
    ],
)
def test_wrong_usage_is_one_clear_line(words, message):
    with pytest.raises(UsageError, match=message):
        parse_options(["turn", *words.split()]).run()
