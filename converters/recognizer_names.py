"""Which files are classifiers of their own. Importing this does not import TensorFlow."""

from __future__ import annotations

from pathlib import Path

from stn_rectify.models.files import RECOGNIZER_SUFFIX

__all__ = ["is_recognizer"]


def is_recognizer(source: Path) -> bool:
    """Whether a model is by its name a classifier, and no spatial transformer."""
    return source.name.endswith(RECOGNIZER_SUFFIX) and source.is_file()
