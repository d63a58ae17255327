"""Plates with known texts: formats, faces, and that the text is the one that is drawn."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from stn_rectify.models.synthesis import legible
from stn_rectify.models.synthesis.legible import LegibleSynthesiser
from stn_rectify.models.synthesis.targets.kinds import TargetTexture
from stn_rectify.models.synthesis.targets.legible_plates import drawing
from stn_rectify.models.synthesis.targets.legible_plates.drawing import LegiblePlate
from stn_rectify.models.synthesis.targets.legible_plates.faces import PlateFace, draw_face
from stn_rectify.models.synthesis.targets.legible_plates.texts import (
    CHARACTERS,
    COUNTRY_FORMATS,
    LONGEST,
    PlateText,
    check_format,
    draw_text,
)
from stn_rectify.runtime.errors import DataError


@pytest.mark.parametrize(
    ("form", "pattern"),
    [("AA-999 AA", "[A-Z]{2}[0-9]{3}[A-Z]{2}"), ("9A9|9999", "[0-9][A-Z][0-9]{5}"), ("***", "[A-Z0-9]{3}")],
)
def test_texts_are_of_the_formats_that_were_given(form, pattern):
    rng = np.random.default_rng(0)
    labels = {draw_text(rng, (form,)).label for _ in range(50)}
    assert all(re.fullmatch(pattern, label) for label in labels)
    assert len(labels) > 40


def test_texts_of_no_given_format_are_of_all_characters_and_lengths():
    rng = np.random.default_rng(1)
    labels = [draw_text(rng, two_rows=k % 3 == 0).label for k in range(2000)]
    assert set("".join(labels)) == set(CHARACTERS)
    assert {len(label) for label in labels} == set(range(2, LONGEST + 1))


@pytest.mark.parametrize("form", [form for forms in COUNTRY_FORMATS.values() for form in forms])
def test_a_format_of_a_country_is_one_and_can_be_written_in_two_rows(form):
    assert check_format(form) == form
    rng = np.random.default_rng(2)
    one, two = draw_text(rng, (form,)), draw_text(rng, (form,), two_rows=True)
    assert (len(one.rows), len(two.rows)) == (1, 2)
    assert len(one.label) == len(two.label) == sum(sign in "A9*" for sign in form)


def test_a_label_is_the_characters_alone():
    assert PlateText((("AB", "-", "12"), ("C", " ", "3"))).label == "AB12C3"


@pytest.mark.parametrize("form", ["", "-", "AB", "A9a", "A|", "A|9|9", "A" * (LONGEST + 1)])
def test_what_is_no_format_is_refused(form):
    with pytest.raises(DataError, match="is no format"):
        check_format(form)


@pytest.mark.parametrize("kind", ["stroke", "hershey", "DejaVuSans-Bold.ttf"])
def test_each_character_of_a_face_fills_its_box_and_is_another(kind):
    face = PlateFace(kind, weight=0.13, radius=0.4, seed=3, wobble=0.0, equal_widths=False)
    masks = {character: face.mask(character, 30, 50) for character in CHARACTERS}
    for character, mask in masks.items():
        assert mask.shape == (50, 30)
        rows = np.flatnonzero(mask.max(axis=1) > 100)
        assert rows[0] <= 3, character
        assert rows[-1] >= 46, character
    for one, other in itertools.combinations(CHARACTERS, 2):
        if {one, other} not in ({"O", "0"}, {"I", "1"}):
            different = np.abs(masks[one].astype(int) - masks[other]).mean()
            assert different > 5, one + other


def test_strokes_are_as_heavy_in_narrow_characters():
    face = PlateFace("stroke", weight=0.12, radius=0.4, seed=3, wobble=0.0, equal_widths=False)
    for width in (20, 60):
        stem = (face.mask("L", width, 100)[40] > 128).sum()
        assert stem == pytest.approx(12, abs=2)


def test_a_plate_shows_its_label(monkeypatch):
    """Without the ink of its characters the same plate is another picture, and only there."""
    stamped = []

    def ink(image, mask, x, y, *colour, stamp=drawing._stamp, **how):
        stamped.append((mask, round(x), round(y)))
        if draws:
            stamp(image, mask, x, y, *colour, **how)

    monkeypatch.setattr(drawing, "_stamp", ink)
    monkeypatch.setattr(drawing, "_in_holder", lambda rng, texture: texture)
    draws = True
    plate = drawing.draw_legible_plate(np.random.default_rng(5), ("AA-999",))
    assert re.fullmatch("[A-Z]{2}[0-9]{3}", plate.label)
    assert plate.texture.kind == "plate"
    written, draws = stamped[:], False
    bare = drawing.draw_legible_plate(np.random.default_rng(5), ("AA-999",))
    assert [x for _, x, _ in written] == sorted(x for _, x, _ in written)
    assert len(written) == len(plate.label)
    differs = (plate.texture.image != bare.texture.image).any(axis=2)
    among = np.zeros_like(differs)
    for mask, x, y in written:
        among[max(y - 2, 0) : y + mask.shape[0], max(x - 1, 0) : x + mask.shape[1]] = True
    assert differs[among].mean() > 0.2
    assert not differs[~among].any()


def test_faces_are_of_several_kinds():
    faces = {draw_face(np.random.default_rng(k)).kind for k in range(60)}
    assert {"stroke", "hershey"} < faces


def test_the_same_index_is_the_same_sample_and_another_is_another():
    draw = LegibleSynthesiser(seed=5, size=(112, 28), formats=("AA 999",))
    first, again, other = draw(3), draw(3), draw(4)
    np.testing.assert_array_equal(first.crop, again.crop)
    assert first.crop.shape == (28, 112)
    assert first.label == again.label != other.label
    assert not np.array_equal(first.crop, other.crop)
    with pytest.raises(DataError, match="sample index -1"):
        draw(-1)
    with pytest.raises(DataError, match="seed -1"):
        LegibleSynthesiser(seed=-1)


def test_a_crop_is_upright_and_holds_the_plate_within_its_margin(monkeypatch):
    """Of a plate that is light above and dark below."""
    picture = np.full((112, 448, 3), 20, np.uint8)
    picture[:56] = 235
    plate = LegiblePlate(TargetTexture("plate", picture, 4.0, 0.0, is_flexible=False), "A1")
    monkeypatch.setattr(legible, "draw_legible_plate", lambda rng, formats: plate)
    monkeypatch.setattr(legible, "varied", lambda rng, texture: texture)
    margin = 0.25
    draw = LegibleSynthesiser(seed=7, size=(120, 48), margin=margin)
    crops = np.stack([draw(k).crop for k in range(16)]).astype(np.float32)
    upper, lower = crops[:, 18:22, 24:-24].mean(axis=(1, 2)), crops[:, 26:30, 24:-24].mean(axis=(1, 2))
    assert (upper - lower).min() > 10
    # The plate's edges: a third of the crop's height lies outside them, half of it above.
    steps = np.abs(np.diff(crops[:, :, 24:-24].mean(axis=2).mean(axis=0)))
    assert steps[[7, 8, 39, 40]].mean() > 2 * steps[[1, 2, 3, 44, 45, 46]].mean()
