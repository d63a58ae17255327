"""Lightweight Spatial Transformer Networks in Keras: layers, models, training data and training.

Importing this package does not import Keras (extra ``train``); the first use of a name does. Once both are imported, in
whatever order, Keras knows the layers of our files: ``keras.models.load_model`` reads them.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

__all__ = ["AffineGrid", "BilinearSampler", "ProjectiveGrid", "ThinPlateSplineGrid", "lightweight_stn", "stn_cost"]

if TYPE_CHECKING:
    from stn_rectify.models.network import (
        AffineGrid,
        BilinearSampler,
        ProjectiveGrid,
        ThinPlateSplineGrid,
        lightweight_stn,
        stn_cost,
    )


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from stn_rectify.models import network

    globals()[name] = value = getattr(network, name)
    return value


def _register_layers(_: object) -> None:
    import stn_rectify.models.network  # noqa: F401  its classes register themselves with Keras


with suppress(ImportError):  # wrapt comes with the extra; without it there is no Keras to register with
    from wrapt import register_post_import_hook

    register_post_import_hook(_register_layers, "keras")
