"""Lightweight Spatial Transformer Networks in Keras: layers, models, training data and training.

Importing this package imports Keras (extra ``train``) at the first use of a model, not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["AffineGrid", "BilinearSampler", "ProjectiveGrid", "ThinPlateSplineGrid", "lightweight_stn", "stn_cost"]

if TYPE_CHECKING:
    from stn_rectify.models.cost import stn_cost
    from stn_rectify.models.layers import AffineGrid, BilinearSampler, ProjectiveGrid, ThinPlateSplineGrid
    from stn_rectify.models.stn import lightweight_stn

_HOMES = {
    "AffineGrid": "layers",
    "BilinearSampler": "layers",
    "ProjectiveGrid": "layers",
    "ThinPlateSplineGrid": "layers",
    "lightweight_stn": "stn",
    "stn_cost": "cost",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
