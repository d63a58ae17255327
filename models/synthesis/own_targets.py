"""The user's own targets, from the folder given as ``--targets``: upright pictures, cut out along their edges."""

from __future__ import annotations

from pathlib import Path

from stn_rectify.models.synthesis.photographs import load_photograph
from stn_rectify.models.synthesis.targets import TargetTexture
from stn_rectify.runtime.errors import DataError

__all__ = ["OWN_KIND", "load_target"]

#: The kind of a target from the user's folder.
OWN_KIND = "own"

_MAX_SIDE_PX = 400
_MAX_ASPECT = 5.0


def load_target(path: Path) -> TargetTexture:
    """Reads the upright picture of one target; its outer edge is the target's edge.

    Raises:
        DataError: if OpenCV cannot read the file, or the picture is more than five times as long as wide.
    """
    image = load_photograph(path, _MAX_SIDE_PX)
    aspect = image.shape[1] / image.shape[0]
    if not 1 / _MAX_ASPECT <= aspect <= _MAX_ASPECT:
        raise DataError(f"{path}: {image.shape[1]}x{image.shape[0]} is too narrow; a target is at most 5 times as long")
    return TargetTexture(OWN_KIND, image, aspect, corner_radius=0.0, is_flexible=False)
