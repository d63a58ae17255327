"""Keras STN → fully INT8 TFLite, built-in operators only, proved on the file.

`convert` takes one model, `convert_batch` many; the command is ``stn-convert``. Importing this package does not import
TensorFlow (extra ``train``); the first use of a name does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__all__ = ["BatchOptions", "Conversion", "ConversionOptions", "convert", "convert_batch", "find_models"]

if TYPE_CHECKING:
    from stn_rectify.converters.batch.batch_conversion import convert_batch
    from stn_rectify.converters.batch.model_inputs import find_models
    from stn_rectify.converters.conversion import Conversion, convert
    from stn_rectify.converters.options import BatchOptions, ConversionOptions

_HOMES = {
    "BatchOptions": "options",
    "Conversion": "conversion",
    "ConversionOptions": "options",
    "convert": "conversion",
    "convert_batch": "batch.batch_conversion",
    "find_models": "batch.model_inputs",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value
