"""Reading trained models."""

from __future__ import annotations

import zipfile
from pathlib import Path

import keras

import stn_rectify.models.layers
import stn_rectify.models.localization
import stn_rectify.models.losses  # noqa: F401  these register our classes with Keras
from stn_rectify.runtime.errors import DataError

__all__ = ["load_model"]


def load_model(file: Path) -> keras.Model:
    """Loads a trained .keras file.

    Raises:
        DataError: missing, truncated, or not a Keras model that can be loaded.
    """
    if not file.is_file():
        raise DataError(f"{file}: no such file")
    if not zipfile.is_zipfile(file):
        raise DataError(f"{file} is not a .keras file, or was cut short: save the model again, or copy it again")
    try:
        return keras.models.load_model(file, compile=False)
    except Exception as error:  # Keras raises whatever its parts raise
        raise DataError(f"{file} is not a Keras model that can be loaded: {str(error).splitlines()[0]}") from error
