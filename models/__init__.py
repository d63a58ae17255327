"""Lightweight Spatial Transformer Networks in Keras: layers, models, training data and training.

Importing this package does not import Keras (extra ``train``); the first use of a name does. Once both are imported, in
whatever order, Keras knows the layers of our files: ``keras.models.load_model`` reads them.
"""

from __future__ import annotations

import warnings
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
    try:
        import stn_rectify.models.network  # noqa: F401  its classes register themselves with Keras
    except Exception as error:  # Keras is imported by others as well, whom this must not stop
        warnings.warn(f"stn_rectify could not register its layers with Keras: {error}", stacklevel=2)


try:
    from wrapt import register_post_import_hook
except ImportError:  # it comes with the extra; without it there is no Keras to register with
    pass
else:
    register_post_import_hook(_register_layers, "keras")
