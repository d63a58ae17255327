"""From what stn-convert takes, a .keras file or the folder of a SavedModel, to the parts of an STN."""

from __future__ import annotations

from pathlib import Path

from stn_rectify.converters.reading.model_files import is_saved_model
from stn_rectify.converters.reading.stn_parts import StnParts
from stn_rectify.runtime.errors import DataError

__all__ = ["read_stn"]


def read_stn(source: Path) -> StnParts:
    """Reads a model and takes it apart.

    Raises:
        DataError: if it is missing, truncated, or neither a .keras file nor a SavedModel.
        ModelFileError: if it is not an STN that can be converted; says which layer and why.
    """
    if source.is_dir():
        if not is_saved_model(source):
            raise DataError(f"{source} is a folder, but not a SavedModel: there is no saved_model.pb in it")
        from stn_rectify.converters.reading.saved_model_parts import split_saved_model

        return split_saved_model(source)
    from stn_rectify.converters.reading.keras_parts import split_keras_model
    from stn_rectify.models.network.keras_file import load_model

    return split_keras_model(load_model(source))
