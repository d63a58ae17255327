"""The labels of classes, as text files hold them, and the probabilities of classes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from stn_rectify.runtime.arrays import FloatArray
from stn_rectify.runtime.errors import UsageError

#: The line of ``labels.txt`` that says which class of a classifier stands for images that show nothing it knows.
NOTHING = "<nothing>"


def class_label(labels: Sequence[str], number: int) -> str | None:
    """The label of a class: its number where there are no labels; None if the class stands for nothing known."""
    label = labels[number] if labels else str(number)
    return None if label == NOTHING else label


def parse_labels(text: bytes) -> tuple[str, ...]:
    """The labels of a text, in UTF-8 with or without a byte order mark, in the order of the classes.

    Empty lines count for nothing; a line of one space is the label of the space. Other characters that look empty stay:
    alphabets have some, as the wide space of Chinese.

    Raises:
        UnicodeDecodeError: if the text is not UTF-8.
    """
    lines = re.split(r"\r\n?|\n", text.decode("utf-8-sig"))
    return tuple(line if line == " " else line.strip(" \t") for line in lines if line == " " or line.strip(" \t"))


def read_labels(file: str | PathLike[str]) -> tuple[str, ...]:
    """The labels of a text file; see `parse_labels`.

    Raises:
        UsageError: if the file cannot be read, or holds no labels.
    """
    try:
        labels = parse_labels(Path(file).read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"labels {file} cannot be read ({error}): give a text file in UTF-8, a label a line"
        ) from error
    if not labels:
        raise UsageError(f"labels {file}: the file has no lines: write a label a line")
    return labels


def class_probabilities(scores: FloatArray, activation: str) -> FloatArray:
    """Gives the probability of each class.

    Args:
        scores: float64 [..., K].
        activation: what they are: ``"softmax"``, up to rounding they add up to 1; ``"sigmoid"``, each for itself from 0
            to 1; or ``"logits"``, any numbers.

    Returns:
        float64 [..., K], 0 to 1; they add up to 1, but for ``"sigmoid"``.
    """
    if activation == "sigmoid":
        return scores
    if activation == "logits":
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(scores / np.maximum(scores.sum(axis=-1, keepdims=True), 1e-9))
