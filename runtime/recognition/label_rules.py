"""Rules for what was read: characters, a list of known labels, a format, a least length, other names.

The words are frigate's where it has them: a ``format`` that the whole text must match, a least length, ``known``
labels within a distance.
"""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path

from stn_rectify.runtime.checks import check_flag, check_instance, check_text, check_whole
from stn_rectify.runtime.errors import UsageError, first_line, shown
from stn_rectify.runtime.recognition.recognition import Recognition

_SEPARATORS = ("\t", "=", ",", ":")
_QUOTES = ("'", '"')
#: For each character those that it may be in truth, the likeliest first.
_LOOKALIKES = {
    "0": "OoDQ", "1": "IlLi", "2": "Zz", "4": "A", "5": "Ss", "6": "G", "7": "T", "8": "B",
    "A": "4", "B": "8", "D": "0", "G": "6", "I": "1", "L": "1", "O": "0", "Q": "0", "S": "5", "T": "7", "Z": "2",
    "i": "1", "l": "1", "o": "0", "s": "5", "z": "2",
}  # fmt: skip
_MOST_EXCHANGED = 4
_MOST_TRIED = 10_000  # texts; a plate of eight has fewer


@dataclass(frozen=True)
class LabelRules:
    """Makes labels of what a recognizer says, and throws away what cannot be one.

    In this order: characters, known labels, least length and format, names. Of a recognizer that gives more than one
    text the most probable one that passes is taken, one that passes as it was read before others.

    Attributes:
        characters: those that a label may have, with ranges, as in ``"A-Z0-9"``; a dash stands at an end. All others
            are left out. Where letters are in it in one case only, those of the other are changed to it. Empty for all.
        min_length: of a label, characters; shorter ones are thrown away.
        format: a regular expression that the whole label must match; others are thrown away. Empty for all.
        lookalikes: whether characters that look alike, such as 0 and O, are exchanged where a text does not match
            ``format`` and then does. The fewest are, four at most.
        known: labels that there are. A text becomes the one of them that is nearest, if it is no more than
            ``known_distance`` edits away and no other one is as near; else it stays. Case, and all but letters and
            digits, do not count as edits.
        known_distance: characters that may be wrong, missing or too many, from 0.
        names: what else a label is called: label → name.

    Raises:
        UsageError: if a value is of the wrong type or out of range, or ``format`` is no regular expression.

    Example:
        >>> rules = LabelRules("A-Z0-9", known=("AB12 CD3",), names={"AB12 CD3": "the neighbour"})
        >>> rules.label("ab12.c03"), rules.label("zz99")
        ('the neighbour', 'ZZ99')
        >>> LabelRules(format="[A-Z]{2}[0-9]{3}").label("A8O12")
        'AB012'
    """

    characters: str = ""
    min_length: int = 0
    format: str = ""
    lookalikes: bool = True
    known: Sequence[str] = ()
    known_distance: int = 1
    names: Mapping[str, str] = field(default_factory=dict)
    _known_texts: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_text("characters", self.characters)
        check_whole("min_length", self.min_length, 0)
        check_whole("known_distance", self.known_distance, 0)
        check_flag("lookalikes", self.lookalikes)
        check_format(check_text("format", self.format))
        check_instance("names", self.names, Mapping, "a dict, label to name (read_names reads a file)")
        known: object = self.known
        if (
            isinstance(known, str)
            or not isinstance(known, Collection)
            or not all(isinstance(one, str) for one in known)
        ):
            raise UsageError(f"known is {shown(known)}: must be a list of labels (read_known reads a file)")
        object.__setattr__(self, "_known_texts", {_compared(label): label for label in self.known})

    @property
    def has_rules(self) -> bool:
        """Tells whether there is anything to do."""
        return bool(self.characters or self.min_length or self.format or self.known or self.names)

    def label(self, text: str) -> str | None:
        """The label that a text is; None if it can be none."""
        label = self._matching(self._nearest_known(self._cleaned(text)))
        if label is None or len(label) < self.min_length:
            return None
        return self.names.get(label, label)

    def apply(self, recognition: Recognition) -> Recognition | None:
        """What a recognizer says, under the rules; `Recognition.read` is then what it said itself, if that differs.

        Returns:
            None if nothing of it can be a label.
        """
        if recognition.label is None:  # the image shows nothing it knows
            return recognition
        read, texts = recognition.label, ((recognition.label, recognition.score), *recognition.alternatives)
        for rules in (replace(self, lookalikes=False), self) if self.lookalikes and len(texts) > 1 else (self,):
            for text, score in texts:
                label = rules.label(text)
                if label is not None:
                    return replace(recognition, label=label, score=score, read=None if label == read else read)
        return None

    def _cleaned(self, text: str) -> str:
        if not self.characters:
            return text
        allowed = _character_set(self.characters)
        has_upper, has_lower = any(map(str.isupper, allowed)), any(map(str.islower, allowed))
        if has_upper != has_lower:
            text = text.upper() if has_upper else text.lower()
        return "".join(character for character in text if character in allowed)

    def _matching(self, text: str) -> str | None:
        """The text as it matches the format; None if it does not."""
        if not self.format or re.fullmatch(self.format, text) is not None:
            return text
        if not self.lookalikes:
            return None
        return next((other for other in _exchanged(text) if re.fullmatch(self.format, other) is not None), None)

    def _nearest_known(self, text: str) -> str:
        compared = _compared(text)
        if compared in self._known_texts:
            return self._known_texts[compared]
        best, nearest = self.known_distance + 1, list[str]()
        for other, label in self._known_texts.items():
            distance = edit_distance(compared, other, best)
            if distance < best:
                best, nearest = distance, [label]
            elif distance == best <= self.known_distance:
                nearest.append(label)
        return nearest[0] if len(nearest) == 1 else text


def check_format(pattern: str) -> str:
    """Checks a regular expression, and gives it back.

    Raises:
        UsageError: if it is none.
    """
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"{pattern!r} is no regular expression ({error}): such as [A-Z]{{2}}[0-9]{{4}}") from None
    return pattern


def edit_distance(one: Sequence[object], other: Sequence[object], most: int) -> int:
    """The fewest characters to change, insert or remove to make one text another (Levenshtein 1966).

    Args:
        one: a text, a string or the classes of its characters.
        other: another, of the same kind.
        most: what is above this is not counted out: the result is then above it, too.
    """
    if abs(len(one) - len(other)) > most:
        return most + 1
    row = list(range(len(other) + 1))
    for place, character in enumerate(one, start=1):
        above, row = row, [place]
        for column, candidate in enumerate(other):
            row.append(min(above[column] + (character != candidate), above[column + 1] + 1, row[column] + 1))
        if min(row) > most:
            return most + 1
    return row[-1]


def read_known(path: str | PathLike[str]) -> tuple[str, ...]:
    """Reads a list of known labels: a text file, a label a line; empty lines and those that begin with ``#`` are none.

    Raises:
        UsageError: if the file cannot be read, is no UTF-8 text, or has no label.
    """
    labels = tuple(dict.fromkeys(line for _, line in _lines(_text(path, "known labels"))))
    if not labels:
        raise UsageError(f"{path} has no label: write the known labels, one a line")
    return labels


def read_names(path: str | PathLike[str]) -> dict[str, str]:
    """Reads what labels are called: a text file of lines ``LABEL = NAME``, or one JSON object.

    A tab, comma or colon may stand for the ``=``, and both sides may be quoted; so tables of TOML and YAML that hold
    nothing else, and files of two columns, do as they are. Empty lines and those that begin with ``#`` count for
    nothing.

    Raises:
        UsageError: if the file cannot be read, is no UTF-8 text, or a line says nothing or names a label twice.
    """
    text = _text(path, "names of labels")
    if text.lstrip().startswith("{"):
        pairs = [(f"{path}", label, name) for label, name in _json_names(path, text)]
    else:
        pairs = [(f"{path}, line {number}", *_sides(f"{path}, line {number}", line)) for number, line in _lines(text)]
    names: dict[str, str] = {}
    for where, label, name in pairs:
        if names.setdefault(label, name) != name:
            raise UsageError(f"{where}: {label!r} has a name already, {names[label]!r}: keep one of them")
    if not names:
        raise UsageError(f"{path} has no names: write lines such as AB12CD3 = the neighbour")
    return names


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that say something, and their numbers."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.strip().startswith("#"):
            yield number, line.strip()


def _text(path: str | PathLike[str], what: str) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read the {what} {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the {what} {path} are no UTF-8 text: save the file as UTF-8") from error


def _json_names(path: str | PathLike[str], text: str) -> list[tuple[str, str]]:
    try:
        pairs = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON ({first_line(error)}): one object of labels and names") from error
    for label, name in pairs:
        if not isinstance(name, str):
            raise UsageError(f"{path}: the name of {label!r} is {name!r:.40}: must be a text")
    return list(pairs)


def _sides(where: str, line: str) -> tuple[str, str]:
    for separator in _SEPARATORS:
        label, found, name = line.partition(separator)
        if found:
            label, name = _unquoted(label.strip()), _unquoted(name.strip())
            if label and name:
                return label, name
    raise UsageError(f"{where}: {line!r:.60} names nothing: write LABEL = NAME")


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] in _QUOTES and text[-1] == text[0] else text


def _character_set(spec: str) -> frozenset[str]:
    """The characters of ``"A-Z0-9_"``."""
    characters = set(spec) if "-" in (spec[:1], spec[-1:]) else set(spec) - {"-"}
    for low, high in re.findall(r"(.)-(.)", spec, re.DOTALL):
        characters.update(map(chr, range(ord(low), ord(high) + 1)))
    return frozenset(characters)


def _exchanged(text: str) -> Iterator[str]:
    """The text with one of its characters exchanged for one that looks alike, in all ways, then with two, and so on."""
    places = [place for place, character in enumerate(text) if character in _LOOKALIKES]
    return itertools.islice(
        (
            _with_characters(text, dict(zip(chosen, others, strict=True)))
            for count in range(1, min(_MOST_EXCHANGED, len(places)) + 1)
            for chosen in itertools.combinations(places, count)
            for others in itertools.product(*(_LOOKALIKES[text[place]] for place in chosen))
        ),
        _MOST_TRIED,
    )


def _with_characters(text: str, others: Mapping[int, str]) -> str:
    return "".join(others.get(place, character) for place, character in enumerate(text))


def _compared(text: str) -> str:
    """What counts of a text where it is compared with known ones: letters and digits, in one case."""
    plain = unicodedata.normalize("NFC", text).casefold()
    return "".join(filter(str.isalnum, plain)) or plain
