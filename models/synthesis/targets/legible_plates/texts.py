"""The texts of number plates: formats of many countries, and any letters and digits."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stn_rectify.runtime.errors import DataError

#: What a plate's text is made of, in the order of a reader's classes.
CHARACTERS = string.ascii_uppercase + string.digits
#: The most characters of a text.
LONGEST = 10

#: In a format: a capital letter, a digit, either, a gap, a gap with a sign in it (dash, dot, seals), the next row.
LETTER, DIGIT, ANY, GAP, SIGN, ROW = "A9* -|"

#: Formats by country; some of them are of years gone by.
COUNTRY_FORMATS = {
    "Argentina": ("AA 999 AA", "AAA 999"),
    "Australia": ("AAA-99A", "AAA 999", "9AA 9AA"),
    "Austria": ("A-99999A", "AA-999AA", "AA-9999A"),
    "Belgium": ("9-AAA-999", "AAA-999"),
    "Brazil": ("AAA9A99", "AAA-9999"),
    "Bulgaria": ("AA 9999 AA", "A 9999 AA"),
    "Croatia": ("AA-999-AA", "AA-9999-A", "AA-999-A"),
    "Czechia": ("9A9-9999", "9AA-9999", "AAA-99-99", "AA-99-99"),
    "Denmark": ("AA 99 999",),
    "Estonia": ("999 AAA",),
    "Finland": ("AAA-999", "AA-999"),
    "France": ("AA-999-AA", "9999 AA 99", "999 AAA 99"),
    "Germany": ("A-AA 9999", "A-AA 999", "AA-A 9999", "AA-AA 999", "AAA-AA 99", "AAA-A 999", "A-A 999", "AA-AA 9999"),
    "Greece": ("AAA-9999",),
    "Hungary": ("AAA-999", "AA AA-999"),
    "India": ("AA 99 AA 9999", "AA99A9999"),
    "Ireland": ("99-A-9999", "999-A-99999", "99-AA-999"),
    "Israel": ("99-999-99", "999-99-999"),
    "Italy": ("AA-999AA", "AA 999 AA"),
    "Latvia": ("AA-9999",),
    "Lithuania": ("AAA-999",),
    "Luxembourg": ("AA 9999",),
    "Netherlands": ("99-AAA-9", "AA-999-A", "99-AA-AA", "A-999-AA", "9-AAA-99"),
    "Norway": ("AA 99999",),
    "Poland": ("AA-99999", "AAA-AA99", "AA-9999A", "AAA-9999", "A9 AAA"),
    "Portugal": ("99-AA-99", "AA-99-AA", "99-99-AA"),
    "Romania": ("AA-99-AAA", "A-999-AAA", "A-99-AAA"),
    "Serbia": ("AA-999-AA", "AA-9999-AA"),
    "Slovakia": ("AA-999AA",),
    "Slovenia": ("AA-99-999", "AA-A9-99A", "AA-999-AA"),
    "Spain": ("9999 AAA", "A-9999-AA"),
    "Sweden": ("AAA 999", "AAA 99A"),
    "Switzerland": ("AA-999999", "AA-99999", "AA-9999"),
    "Turkey": ("99 AAA 999", "99 AA 9999", "99 A 9999"),
    "Ukraine": ("AA 9999 AA",),
    "United Kingdom": ("AA99 AAA", "A999 AAA", "AAA 999A"),
    "United States": ("AAA 9999", "AAA-9999", "9AAA999", "999 AAA", "AAA 999", "A99 AAA"),
}
_SIGNS = frozenset(LETTER + DIGIT + ANY + GAP + SIGN + ROW)
_OF_A_COUNTRY = 0.68  # of all texts; the rest are any


@dataclass(frozen=True)
class PlateText:
    """The text of a plate.

    Attributes:
        rows: one or two; each is a sequence of groups and of what stands between them: ``"AB"``, ``"-"``, ``"123"``.
    """

    rows: tuple[tuple[str, ...], ...]

    @property
    def label(self) -> str:
        """What a reader says of it: the characters alone, row after row."""
        return "".join(part for row in self.rows for part in row if part not in (GAP, SIGN))


def check_format(text: str) -> str:
    """Gives back a format.

    Args:
        text: ``A`` for a letter, ``9`` for a digit, ``*`` for either; a space or ``-`` for a gap, ``|`` for the next
            row. Other capitals and digits are not taken: they would be read as one of these.

    Raises:
        DataError: if it holds anything else, no character, more than `LONGEST`, or more than two rows.
    """
    count = sum(text.count(sign) for sign in (LETTER, DIGIT, ANY))
    rows = text.split(ROW)
    if not set(text) <= _SIGNS or not 0 < count <= LONGEST or len(rows) > 2 or not all(map(_filled, rows)):
        raise DataError(
            f"{text!r} is no format: write A for a letter, 9 for a digit, * for either, a space or - for a gap, and | "
            f"once at most for the next row; 1 to {LONGEST} characters"
        )
    return text


def _filled(row: str) -> bool:
    return any(sign in row for sign in (LETTER, DIGIT, ANY))


def draw_text(rng: np.random.Generator, formats: Sequence[str] = (), *, two_rows: bool = False) -> PlateText:
    """Draws a text.

    Args:
        rng: the text's random numbers.
        formats: see `check_format`; texts of these alone. Without any, of a country's formats or of no format.
        two_rows: whether a text whose format does not say so is broken into two rows.
    """
    if formats:
        form = formats[int(rng.integers(len(formats)))]
    elif rng.random() < _OF_A_COUNTRY:
        countries = list(COUNTRY_FORMATS.values())
        of_country = countries[int(rng.integers(len(countries)))]
        form = of_country[int(rng.integers(len(of_country)))]
    else:
        form = _any_format(rng)
    if two_rows and ROW not in form:
        form = _broken(rng, form)
    return PlateText(tuple(_row(rng, row) for row in form.split(ROW)))


def _any_format(rng: np.random.Generator) -> str:
    """Two to nine characters: letters, digits or both, in up to three groups."""
    count = int(np.clip(np.round(rng.normal(6, 1.5)), 2, 9))
    style = rng.random()
    if style < 0.2:
        form = LETTER * count
    elif style < 0.3:
        form = DIGIT * count
    elif style < 0.55:
        split = int(rng.integers(1, count))
        form = (
            LETTER * split + DIGIT * (count - split) if rng.random() < 0.6 else DIGIT * split + LETTER * (count - split)
        )
    else:
        form = ANY * count
    for place in sorted(set(rng.integers(1, count, int(rng.integers(0, 3))).tolist()), reverse=True):
        form = form[:place] + str(rng.choice([GAP, SIGN])) + form[place:]
    return form


def _broken(rng: np.random.Generator, form: str) -> str:
    """The format in two rows, broken at a gap or else anywhere."""
    gaps = [place for place, sign in enumerate(form) if sign in (GAP, SIGN)]
    if gaps and rng.random() < 0.8:
        place = gaps[int(rng.integers(len(gaps)))]
        return form[:place] + ROW + form[place + 1 :]
    places = [k for k in range(1, len(form)) if form[k - 1] not in (GAP, SIGN) and form[k] not in (GAP, SIGN)]
    if not places:
        return form if not gaps else form[: gaps[0]] + ROW + form[gaps[0] + 1 :]
    place = places[int(rng.integers(len(places)))]
    return form[:place] + ROW + form[place:]


def _row(rng: np.random.Generator, form: str) -> tuple[str, ...]:
    parts, group = [], ""
    for sign in form:
        if sign in (GAP, SIGN):
            parts += [group, sign] if group else [sign]
            group = ""
            continue
        among = {LETTER: string.ascii_uppercase, DIGIT: string.digits, ANY: CHARACTERS}[sign]
        group += among[int(rng.integers(len(among)))]
    return tuple([*parts, group] if group else parts)
