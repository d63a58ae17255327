"""Which files are classifiers of their own. Importing this does not import TensorFlow."""

from __future__ import annotations

from pathlib import Path

__all__ = ["RECOGNIZER_SUFFIX", "is_recognizer"]

RECOGNIZER_SUFFIX = ".recognizer.keras"


def is_recognizer(source: Path) -> bool:
    """Whether a model is by its name a classifier, and no spatial transformer."""
    return source.name.endswith(RECOGNIZER_SUFFIX) and source.is_file()
