"""Words and lines in TrueType faces, as printers and computers set them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw

from stn_rectify.models.synthesis.drawing.images import Colour
from stn_rectify.models.synthesis.targets.typeset.faces import Faces, font
from stn_rectify.models.synthesis.targets.typeset.words import SCRIPTS
from stn_rectify.runtime.arrays import Image

#: x, y, width and height of a rectangle, pixels.
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Prints:
    """What may be printed on a target.

    Attributes:
        pictures: uint8 [h, w, 3] BGR each.
        faces: of its words.
    """

    pictures: Sequence[Image]
    faces: Faces


class Typesetter:
    """Sets words of one language in one family of faces.

    Args:
        rng: decides language, family and case, and later the words.
        faces: that there are.
        capitals: the probability that all of its words are in capitals, which neither rise above the line nor sink
            below it.
    """

    def __init__(self, rng: np.random.Generator, faces: Faces, capitals: float = 0.15) -> None:
        self._rng = rng
        self._all_capitals = bool(rng.random() < capitals)
        latin = rng.random() < 0.8
        self._words = SCRIPTS[0 if latin else int(rng.integers(1, len(SCRIPTS)))]
        families = faces.every + faces.latin if latin else faces.every
        self.face, self.heavy, self._has_accents = families[int(rng.integers(len(families)))]

    def words(self, count: int) -> list[str]:
        """Words as a sentence has them: capitals at its beginning, a few numbers and names, commas and full stops."""
        rng, begins, words = self._rng, True, []
        for choice, style in zip(rng.integers(len(self._words), size=count), rng.random(count), strict=True):
            word = self._words[int(choice)]
            if not self._has_accents and not word.isascii():
                word = "and"
            if style < 0.03:
                word = self.number()
            elif begins or style < 0.1:
                word = word[0].upper() + word[1:]
            begins = style > 0.92
            if self._all_capitals:
                word = word.upper()
            words.append(word + (rng.choice([".", ".", ".", "?", ":"]) if begins else "," if style > 0.86 else ""))
        return words

    def number(self) -> str:
        """A number, price, date or time."""
        rng = self._rng
        style, (a, b, c) = rng.random(), rng.integers(1, 99, 3).tolist()
        if style < 0.35:
            return f"{a * b}"
        if style < 0.65:
            return f"{a}.{c:02d}"
        if style < 0.8:
            return f"{1 + a % 28}.{1 + b % 12}.20{c:02d}"
        return f"{a % 24}:{b % 60:02d}"

    def text(self, characters: int) -> str:
        """So many characters of words, or a few less; one word at least."""
        words, length = self.words(2 + characters // 4), 0
        for place, word in enumerate(words):
            length += len(word) + 1
            if length > characters:
                return " ".join(words[: max(1, place)])
        return " ".join(words)

    def lines(self, width: float, size: int, count: int, indent: float = 0.0) -> list[list[str]]:
        """A paragraph broken into lines.

        Args:
            width: of the lines, pixels.
            size: of the em, pixels.
            count: how many lines at most; the last one is short.
            indent: of the first one, pixels.

        Returns:
            The words of each line.
        """
        face = font(self.face, size)
        space = face.getlength("n") * 0.5
        broken: list[list[str]] = [[]]
        x = indent
        for word in self.words(int(count * width / (size * 2.6)) + 1):
            length = face.getlength(word)
            if x + length > width and broken[-1]:
                if len(broken) == count:
                    break
                broken.append([])
                x = 0.0
            broken[-1].append(word)
            x += length + space
        return broken


class Canvas:
    """A picture that is written on.

    Args:
        image: uint8 [H, W, 3] BGR; it is not changed.
    """

    def __init__(self, image: Image) -> None:
        self._picture = PillowImage.fromarray(np.ascontiguousarray(image[..., ::-1]))
        self.draw = ImageDraw.Draw(self._picture)

    @property
    def image(self) -> Image:
        """The picture as it is now, uint8 [H, W, 3] BGR."""
        return np.ascontiguousarray(np.asarray(self._picture)[..., ::-1])

    def paste(self, part: Image, x: int, y: int) -> None:
        """Puts a picture, uint8 [h, w, 3] BGR, with its upper left corner at (x, y)."""
        self._picture.paste(PillowImage.fromarray(np.ascontiguousarray(part[..., ::-1])), (x, y))

    def write(self, x: float, y: float, text: str, face: str, size: float, colour: Colour, anchor: str = "la") -> float:
        """Writes one line.

        Args:
            x: of the anchor, pixels.
            y: of the anchor, pixels.
            text: the line.
            face: a file of `font`.
            size: of the em, pixels; less than 4 is 4.
            colour: of the ink.
            anchor: two letters of Pillow's: ``la`` left and ascender, ``ma`` middle, ``ra`` right, ``ls`` baseline.

        Returns:
            The line's width, pixels.
        """
        face_at_size = font(face, max(4, round(size)))
        self.draw.text((x, y), text, _ink(colour), face_at_size, anchor)
        return float(face_at_size.getlength(text))

    def fit(self, box: Box, text: str, face: str, colour: Colour, align: str = "l") -> None:
        """Writes a line as large as a box allows.

        Args:
            box: where to, from the ascender to below the baseline.
            text: the line.
            face: a file of `font`.
            colour: of the ink.
            align: ``l``, ``m`` or ``r``: left, middle or right.
        """
        x, y, width, height = box
        size = max(4.0, height * 0.85)
        length = font(face, max(4, round(size))).getlength(text)
        size *= min(1.0, width / max(1.0, length))
        across = {"l": x, "m": x + width / 2, "r": x + width}[align]
        self.write(across, y + height / 2, text, face, size, colour, f"{align}m")

    def paragraph(
        self,
        typesetter: Typesetter,
        box: Box,
        size: int,
        leading: float,
        colour: Colour,
        align: str = "l",
        indent: float = 0.0,
    ) -> float:
        """Sets a paragraph.

        Args:
            typesetter: gives the words.
            box: where to; a longer paragraph is cut off.
            size: of the em, pixels.
            leading: from line to line, pixels.
            colour: of the ink.
            align: ``l`` ragged right, ``r`` ragged left, ``j`` justified, ``m`` centred.
            indent: of the first line, pixels.

        Returns:
            y below the last line.
        """
        x, y, width, height = box
        count = int(height / leading)
        if count < 1:
            return y
        lines = typesetter.lines(width, size, count, indent)
        for number, words in enumerate(lines):
            line, start = " ".join(words), x + (indent if number == 0 else 0)
            if align == "m":
                self.write(x + width / 2, y, line, typesetter.face, size, colour, "ma")
            elif align == "r":
                self.write(x + width, y, line, typesetter.face, size, colour, "ra")
            elif align == "j" and number < len(lines) - 1 and len(words) > 1:
                self._justified(words, start, y, x + width - start, typesetter.face, size, colour)
            else:
                self.write(start, y, line, typesetter.face, size, colour)
            y += leading
        return y

    def _justified(
        self, words: list[str], x: float, y: float, width: float, face: str, size: int, colour: Colour
    ) -> None:
        lengths = [font(face, size).getlength(word) for word in words]
        gap = (width - sum(lengths)) / (len(words) - 1)
        for word, length in zip(words, lengths, strict=True):
            self.write(x, y, word, face, size, colour)
            x += length + gap


def _ink(colour: Colour) -> tuple[int, int, int]:
    """The colour as Pillow takes it: red, green, blue."""
    blue, green, red = (int(min(255, max(0, value))) for value in colour)
    return red, green, blue
