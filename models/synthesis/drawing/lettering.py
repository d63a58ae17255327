"""The print on targets: text, paragraphs, stroke glyphs, bar codes and matrix codes."""

from __future__ import annotations

import string

import cv2
import numpy as np

from stn_rectify.models.synthesis.drawing.images import Colour
from stn_rectify.runtime.arrays import Image

_LETTERS = np.array(list(string.ascii_letters + string.digits + "     .,:-"))
_HERSHEY_FONTS = 8


def random_text(rng: np.random.Generator, length: int) -> str:
    """Letters, digits, spaces and punctuation."""
    return "".join(rng.choice(_LETTERS, max(1, length)))


def text_line(
    rng: np.random.Generator,
    image: Image,
    box: tuple[float, float, float, float],
    colour: Colour,
    thickness: int | None = None,
) -> None:
    """Writes random text into ``box`` (x, y, width, height in pixels) in one of OpenCV's Hershey fonts."""
    x, y, width, height = box
    text = random_text(rng, int(width / max(1.0, height * 0.75)))
    font = int(rng.integers(_HERSHEY_FONTS))
    (text_width, text_height), _ = cv2.getTextSize(text, font, 1, 1)
    scale = min(height / max(1, text_height), width / max(1, text_width))
    if thickness is None:
        thickness = max(1, round(height * rng.uniform(0.05, 0.16)))
    cv2.putText(image, text, (int(x), int(y + height)), font, scale, colour, thickness, cv2.LINE_AA)


def word_bars(rng: np.random.Generator, image: Image, box: tuple[float, float, float, float], colour: Colour) -> None:
    """A line of print too small to read: words as bars, or as strokes."""
    x, y, width, height = box
    end = x + width
    as_strokes = rng.random() < 0.5
    while x < end:
        word_end = min(end, x + rng.uniform(1, 6) * height * 0.7)
        if as_strokes:
            for stroke in np.arange(x, word_end, max(2.0, height * 0.5)):
                top, lean = y + rng.uniform(0, 0.4) * height, rng.uniform(0, 0.4) * height
                cv2.line(image, (int(stroke), int(top)), (int(stroke + lean), int(y + height)), colour)
        else:
            cv2.rectangle(image, (int(x), int(y)), (int(word_end), int(y + 0.8 * height)), colour, -1)
        x = word_end + height * rng.uniform(0.4, 0.9)


def paragraph(
    rng: np.random.Generator,
    image: Image,
    box: tuple[float, float, float, float],
    colour: Colour,
    line_height: float,
    readable: bool,
) -> None:
    """Fills ``box`` with lines of print, some of them short, with gaps between paragraphs."""
    x, top, width, height = box
    y = top
    while y < top + height - line_height:
        if rng.random() < 0.12:
            y += line_height * rng.uniform(0.5, 2)
            continue
        length = width * (rng.uniform(0.2, 0.8) if rng.random() < 0.2 else rng.uniform(0.9, 1))
        if readable:
            text_line(rng, image, (x, y, length, line_height * 0.55), colour, 1)
        else:
            word_bars(rng, image, (x, y, length, line_height * 0.55), colour)
        y += line_height


def text_block(rng: np.random.Generator, image: Image, colour: Colour, lines: int) -> None:
    """A few lines of text of random size, anywhere on the picture."""
    height, width = image.shape[:2]
    for _ in range(lines):
        x, y = width * rng.uniform(0.04, 0.55), height * rng.uniform(0.04, 0.85)
        size = height * rng.uniform(0.05, 0.16)
        text_line(rng, image, (x, y, width * rng.uniform(0.2, 0.45), size), colour)


def glyph(
    rng: np.random.Generator,
    image: Image,
    box: tuple[float, float, float, float],
    colour: Colour,
    thickness: int,
) -> None:
    """A character of no known script: a handful of strokes on a 3×4 lattice."""
    x, y, width, height = box
    for _ in range(int(rng.integers(4, 9))):
        column, row = rng.integers(0, 3), rng.integers(0, 4)
        to_column, to_row = (rng.integers(0, 3), row) if rng.random() < 0.5 else (column, rng.integers(0, 4))
        start = (int(x + width * column / 2), int(y + height * row / 3))
        end = (int(x + width * to_column / 2), int(y + height * to_row / 3))
        cv2.line(image, start, end, colour, thickness, cv2.LINE_AA)


def bar_code(rng: np.random.Generator, image: Image, box: tuple[float, float, float, float], colour: Colour) -> None:
    """Vertical bars of random widths that fill ``box``."""
    x, y, width, height = box
    module = max(1.0, width / 95)
    end = x + width
    while x < end:
        bar = module * rng.integers(1, 4)
        cv2.rectangle(image, (int(x), int(y)), (int(min(end, x + bar)), int(y + height)), colour, -1)
        x += bar + 1 + module * rng.integers(1, 4)


def matrix_code(
    rng: np.random.Generator, image: Image, corner: tuple[float, float], side: float, colour: Colour
) -> None:
    """A square of random modules with three finder patterns, like a QR code."""
    modules = int(rng.integers(15, 27))
    pattern = rng.random((modules, modules)) < 0.5
    finder = np.zeros((8, 8), bool)
    finder[:7, :7] = True
    finder[1:6, 1:6] = False
    finder[2:5, 2:5] = True
    pattern[:8, :8] = finder
    pattern[:8, -8:] = finder[:, ::-1]
    pattern[-8:, :8] = finder[::-1]
    x, y, size = int(corner[0]), int(corner[1]), int(side)
    printed = cv2.resize(pattern.astype(np.uint8), (size, size), interpolation=cv2.INTER_NEAREST)
    region = image[y : y + size, x : x + size]
    region[printed[: region.shape[0], : region.shape[1]] > 0] = np.array(colour).astype(np.uint8)
