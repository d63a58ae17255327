"""TensorFlow Lite's flatbuffer schema in Python, without TensorFlow.

The generated module lies in TensorFlow's package but needs only flatbuffers. Importing it the usual way would load
TensorFlow, and then tflite-runtime in the same process silently runs TensorFlow's kernels instead of its own (the
symbols of both libraries are shared): a proof made there would be about another interpreter.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from stn_rectify.runtime.errors import UsageError

__all__ = ["schema"]

_PLACES = {
    "tensorflow": "lite/python/schema_py_generated.py",
    "ai_edge_litert": "schema_py_generated.py",
}


def _load() -> Any:
    for package, place in _PLACES.items():
        found = importlib.util.find_spec(package)
        if found is None or not found.submodule_search_locations:
            continue
        file = Path(found.submodule_search_locations[0]) / place
        spec = importlib.util.spec_from_file_location("stn_rectify_tflite_schema", file)
        if file.is_file() and spec and spec.loader:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise UsageError("TensorFlow is not installed: in a checkout of stn-rectify, pip install -e '.[train]'")


#: The schema's generated classes.
schema = _load()
