"""What stn-convert takes: a .keras file, or the folder of a SavedModel."""

from __future__ import annotations

from pathlib import Path

from stn_rectify.converters.reading.stn_parts import StnParts
from stn_rectify.runtime.errors import DataError

__all__ = ["is_saved_model", "output_name", "read_stn"]


def output_name(source: Path) -> str:
    """NAME of what comes out of a model, ``NAME.tflite`` for one: a folder's whole name, a file's without suffix."""
    return source.name if source.is_dir() else source.stem


def is_saved_model(path: Path) -> bool:
    """Whether a folder is a SavedModel."""
    return (path / "saved_model.pb").is_file()


def read_stn(source: Path) -> StnParts:
    """Reads a model and takes it apart.

    Raises:
        DataError: missing, truncated, or neither a .keras file nor a SavedModel.
        ModelFileError: not an STN that can be converted; says which layer and why.
    """
    if source.is_dir():
        if not is_saved_model(source):
            raise DataError(f"{source} is a folder, but not a SavedModel: there is no saved_model.pb in it")
        from stn_rectify.converters.reading.saved_model_parts import split_saved_model

        return split_saved_model(source)
    from stn_rectify.converters.reading.keras_parts import split_keras_model
    from stn_rectify.models.network.keras_file import load_model

    return split_keras_model(load_model(source))
