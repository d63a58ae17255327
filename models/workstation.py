"""Whether the workstation side (extra ``train``) is installed."""

from __future__ import annotations

import importlib.util
import sys

from stn_rectify.runtime.errors import UsageError

__all__ = ["require_tensorflow"]


def require_tensorflow() -> None:
    """Raises a `UsageError` that says how to install TensorFlow, if it is missing."""
    if all(importlib.util.find_spec(package) for package in ("tensorflow", "keras", "flatbuffers", "tqdm")):
        return
    if sys.version_info >= (3, 13):
        raise UsageError(
            "TensorFlow 2.19 has no wheel for Python 3.13: train and convert in an environment of Python 3.10 to 3.12"
        )
    raise UsageError("the workstation side is not installed: pip install 'stn-rectify[train]'")
