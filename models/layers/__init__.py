"""The three parts of a Spatial Transformer after its localization network, as Keras layers."""

from stn_rectify.models.layers.bilinear_sampler import BilinearSampler
from stn_rectify.models.layers.grids import MIN_DENOMINATOR, AffineGrid, ProjectiveGrid
from stn_rectify.models.layers.thin_plate_spline import ThinPlateSplineGrid

__all__ = ["MIN_DENOMINATOR", "AffineGrid", "BilinearSampler", "ProjectiveGrid", "ThinPlateSplineGrid"]
