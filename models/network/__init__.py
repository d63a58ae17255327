"""The networks: localization network, grid generators, bilinear sampler, put together by `lightweight_stn`.

In: shapes and widths. Out: Keras models, what they cost, the poses they give, and the loss that teaches them. Importing
this imports Keras, and registers our classes with it.
"""

from stn_rectify.models.network.cost import stn_cost
from stn_rectify.models.network.layers import AffineGrid, BilinearSampler, ProjectiveGrid, ThinPlateSplineGrid
from stn_rectify.models.network.poses import CornerLoss
from stn_rectify.models.network.stn import lightweight_stn

__all__ = [
    "AffineGrid",
    "BilinearSampler",
    "CornerLoss",
    "ProjectiveGrid",
    "ThinPlateSplineGrid",
    "lightweight_stn",
    "stn_cost",
]
