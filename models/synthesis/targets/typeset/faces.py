"""The faces that text is set in: those that matplotlib brings, and those of a folder of the user's."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from PIL import ImageFont

from stn_rectify.models.synthesis.targets.typeset.words import CYRILLIC, GREEK, LATIN
from stn_rectify.runtime.errors import DataError, warn

_SUFFIXES = {".ttf", ".otf"}
#: A face of this weight and more is a heavy one, as of OpenType's usWeightClass.
_HEAVY = 600
_LATIN = LATIN + LATIN.upper()
_EVERY = _LATIN + CYRILLIC + CYRILLIC.upper() + GREEK + GREEK.upper()


class Family(NamedTuple):
    """Faces of one design: a file of `font` for text, and the heavy one for headings.

    Attributes:
        face: for text.
        heavy: for headings.
        has_accents: whether letters beyond those of ASCII are in them.
    """

    face: str
    heavy: str
    has_accents: bool = True


@dataclass(frozen=True)
class Faces:
    """What text is set in.

    Attributes:
        every: families with Latin, Cyrillic and Greek letters.
        latin: further families, with Latin letters only.
        plates: files of the faces of number plates.
    """

    every: tuple[Family, ...]
    latin: tuple[Family, ...]
    plates: tuple[str, ...]


#: matplotlib's.
BUNDLED_FACES = Faces(
    every=(
        Family("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"),
        Family("DejaVuSans-Oblique.ttf", "DejaVuSans-BoldOblique.ttf"),
        Family("DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf"),
        Family("DejaVuSerif-Italic.ttf", "DejaVuSerif-BoldItalic.ttf"),
        Family("DejaVuSansMono.ttf", "DejaVuSansMono-Bold.ttf"),
        Family("STIXGeneral.ttf", "STIXGeneralBol.ttf"),
        Family("STIXGeneralItalic.ttf", "STIXGeneralBolIta.ttf"),
    ),
    latin=(
        Family("cmr10.ttf", "cmb10.ttf", has_accents=False),
        Family("cmss10.ttf", "cmss10.ttf", has_accents=False),
        Family("cmtt10.ttf", "cmtt10.ttf", has_accents=False),
    ),
    plates=(
        "DejaVuSans-Bold.ttf",
        "DejaVuSans.ttf",
        "DejaVuSansMono-Bold.ttf",
        "DejaVuSansMono.ttf",
        "STIXGeneralBol.ttf",
        "cmss10.ttf",
    ),
)


@lru_cache(maxsize=4096)
def font(face: str, size: int) -> ImageFont.FreeTypeFont:
    """A face at a size.

    Args:
        face: one of matplotlib's TrueType files, or the path of another.
        size: of the em, pixels.
    """
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / face, size)


def faces_with(folder: Path | None) -> Faces:
    """matplotlib's faces and those of the TrueType and OpenType files below a folder, if one is given.

    Of each design the heaviest face is that of headings. A file without all letters and figures of ASCII, as of
    symbols, is left out, and a warning says how many were.

    Raises:
        DataError: if there is no such folder, no face in it, or a file cannot be read.
    """
    if folder is None:
        return BUNDLED_FACES
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; --fonts takes a folder of TrueType or OpenType faces")
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in _SUFFIXES)
    read = [_read_face(file) for file in files]
    usable = [face for face in read if face.covers(string.ascii_letters + string.digits)]
    if not usable:
        found = "no face in it has the letters and figures of ASCII" if files else "no .ttf or .otf file in it"
        raise DataError(f"{folder}: {found}; --fonts takes a folder of TrueType or OpenType faces")
    if len(usable) < len(read):
        count = len(read) - len(usable)
        noun = "face" if count == 1 else "faces"
        warn(f"--fonts {folder}: left out {count} {noun} without the letters and figures of ASCII")
    families = [_family_of(face, usable) for face in usable]
    has_all = [face.covers(_EVERY) for face in usable]
    unique = dict(zip(families, has_all, strict=True))
    return replace(
        BUNDLED_FACES,
        every=BUNDLED_FACES.every + tuple(family for family, every in unique.items() if every),
        latin=BUNDLED_FACES.latin + tuple(family for family, every in unique.items() if not every),
        plates=BUNDLED_FACES.plates + tuple(dict.fromkeys(family.heavy for family in families)),
    )


class _Face(NamedTuple):
    file: Path
    design: tuple[str, bool]
    weight: int
    characters: frozenset[str]

    def covers(self, text: str) -> bool:
        return self.characters.issuperset(text.replace(" ", "").replace("\n", ""))


def _read_face(file: Path) -> _Face:
    """What a face's tables say.

    Raises:
        DataError: if they cannot be read.
    """
    from fontTools.ttLib import TTFont, TTLibError

    try:
        with TTFont(file, lazy=True) as tables:
            name = tables["name"].getBestFamilyName() or file.stem
            is_italic = bool(tables["post"].italicAngle)
            weight = int(tables["OS/2"].usWeightClass)
            characters = frozenset(map(chr, tables.getBestCmap() or ()))
    except (TTLibError, KeyError, OSError) as error:
        raise DataError(f"{file}: not a readable TrueType or OpenType face ({error}): remove or replace it") from error
    return _Face(file, (name, is_italic), weight, characters)


def _family_of(face: _Face, faces: Sequence[_Face]) -> Family:
    """The face with the heaviest of its design, or with itself where none is heavy."""
    heaviest = max((one for one in faces if one.design == face.design), key=lambda one: one.weight)
    heavy = heaviest if heaviest.weight >= _HEAVY else face
    return Family(str(face.file.resolve()), str(heavy.file.resolve()), face.covers(_LATIN) and heavy.covers(_LATIN))
