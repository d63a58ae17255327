"""Reading trained models from their .keras files."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import keras

from stn_rectify.runtime.errors import DataError, first_line

__all__ = ["load_model"]

_HDF5 = b"\x89HDF\r\n\x1a\n"


def load_model(file: Path) -> keras.Model:
    """Loads a trained .keras file.

    Raises:
        DataError: if the file is missing, truncated, or no Keras model that can be loaded.
    """
    if not file.is_file():
        raise DataError(f"{file}: no such file")
    with file.open("rb") as stream:
        if stream.read(len(_HDF5)) == _HDF5:
            raise DataError(f"{file} is an HDF5 file: load it in Keras and save it again as NAME.keras")
    if not zipfile.is_zipfile(file):
        raise DataError(f"{file} is not a .keras file, or was cut short: save the model again, or copy it again")
    try:
        return keras.models.load_model(file, compile=False)
    except Exception as error:  # Keras raises whatever its parts raise
        raise DataError(f"{file} {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Says in one line why a file cannot be loaded, and what to do."""
    said = str(error)
    missing = re.search(r"Could not locate (class|function) '([^']+)'", said)
    if missing is not None:
        kind, name = missing.groups()
        return (
            f"needs the {kind} {name!r}, which is not part of Keras or stn_rectify: build the model from Keras layers, "
            "or export it as a SavedModel"
        )
    if "safe_mode=False" in said:
        return (
            "has a Lambda layer, whose code cannot be loaded safely: replace it by keras.ops, or export the model as a "
            "SavedModel"
        )
    return f"is not a Keras model that can be loaded: {first_line(error)}"
