"""Faces of a folder: which are used, and for what."""

from __future__ import annotations

import shutil
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from stn_rectify.models.command.cli import main
from stn_rectify.models.synthesis.targets.typeset.faces import BUNDLED_FACES, faces_with
from stn_rectify.models.synthesis.targets.typeset.kinds import draw_typeset_target
from stn_rectify.models.synthesis.upright import UprightSynthesiser
from stn_rectify.runtime.errors import DataError, StnRectifyWarning

MATPLOTLIB = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@pytest.fixture
def folder(tmp_path):
    def filled(*names):
        for name in names:
            shutil.copy(MATPLOTLIB / name, tmp_path)
        return tmp_path

    return filled


def names(families):
    return [(Path(family.face).name, Path(family.heavy).name) for family in families]


def test_without_a_folder_there_are_those_of_matplotlib():
    assert faces_with(None) is BUNDLED_FACES


def test_faces_of_a_design_share_its_heavy_one_upright_and_italic_apart(folder):
    upright = ("DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf")
    found = faces_with(folder(*upright, "DejaVuSerif-Italic.ttf"))
    bold = "DejaVuSerif-Bold.ttf"
    added = names(found.every[len(BUNDLED_FACES.every) :])
    assert added == [(bold, bold), ("DejaVuSerif-Italic.ttf", "DejaVuSerif-Italic.ttf"), ("DejaVuSerif.ttf", bold)]
    assert found.latin == BUNDLED_FACES.latin
    assert [Path(face).name for face in found.plates[len(BUNDLED_FACES.plates) :]] == [bold, "DejaVuSerif-Italic.ttf"]


def test_letters_that_a_face_lacks_are_not_asked_of_it(folder):
    found = faces_with(folder("cmr10.ttf"))
    (family,) = found.latin[len(BUNDLED_FACES.latin) :]
    assert (Path(family.face).name, family.has_accents) == ("cmr10.ttf", False)
    assert found.every == BUNDLED_FACES.every


def test_faces_of_symbols_are_left_out_and_that_is_said(folder):
    with pytest.warns(StnRectifyWarning, match="left out 1 face without the letters and figures of ASCII"):
        found = faces_with(folder("STIXSizOneSymReg.ttf", "DejaVuSans.ttf"))
    assert names(found.every[len(BUNDLED_FACES.every) :]) == [("DejaVuSans.ttf", "DejaVuSans.ttf")]


def test_targets_are_set_in_them(folder):
    faces = faces_with(folder("STIXGeneralBol.ttf"))
    drawn = [
        draw_typeset_target(np.random.default_rng(number), [], "plate", faces=given).image
        for given in (BUNDLED_FACES, faces, faces)
        for number in range(12)
    ]
    assert all(np.array_equal(one, again) for one, again in zip(drawn[12:24], drawn[24:], strict=True))
    assert any(not np.array_equal(one, other) for one, other in zip(drawn[:12], drawn[12:24], strict=True))
    sample = UprightSynthesiser(seed=1, fonts=folder())(0)
    assert sample.crop.shape == (160, 160, 3)


def test_a_folder_without_a_usable_face_is_refused(folder, tmp_path):
    with pytest.raises(DataError, match=r"no \.ttf or \.otf file in it; --fonts takes a folder"):
        faces_with(tmp_path)
    with pytest.raises(DataError, match="no face in it has the letters and figures of ASCII"):
        faces_with(folder("STIXSizOneSymReg.ttf"))
    with pytest.raises(DataError, match="no such folder; --fonts takes a folder"):
        faces_with(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [b"", b"no face", (MATPLOTLIB / "cmr10.ttf").read_bytes()[:4000]])
def test_a_damaged_face_ends_a_training_in_one_line(tmp_path, capsys, content):
    (tmp_path / "torn.ttf").write_bytes(content)
    words = ["turn", "--out", str(tmp_path / "t.turn.keras"), "--fonts", str(tmp_path), "--samples", "64"]
    assert main([*words, "--epochs", "1", "--hold-out", "0"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("stn-train turn: error: ")
    assert "torn.ttf: not a readable TrueType or OpenType face" in last
    assert last.endswith(": remove or replace it")
