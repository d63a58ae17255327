"""Annotated frames as scenes for a network that looks everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from stn_rectify.models.synthesis.scenes import MAX_TARGETS
from stn_rectify.runtime.annotations import AnnotatedFrame, AnnotatedTarget
from stn_rectify.runtime.arrays import Array, FloatArray, Image

#: How much wider than a target its picture is painted over, and from how far around the colours come, pixels.
_MARGIN_PX, _AROUND_PX = 3, 5


def real_scene(frame: AnnotatedFrame, size: tuple[int, int]) -> Mapping[str, Array]:
    """One frame as an item of a `stn_rectify.models.training.pools.scene_pool.ScenePool`, stretched to its size.

    It has all of its targets. Of more than `MAX_TARGETS` the largest are kept; the others are painted over with what is
    around them, so that nothing says of a target that it is background.

    Args:
        frame: the frame. A target counts as a number plate if its label has the word in it.
        size: width and height of the scene, pixels.

    Returns:
        ``frames`` uint8 [H, W, 3] BGR, ``corners`` float32 [`MAX_TARGETS`, 4, 2], pixels of the scene, NaN where there
        is no further target, and ``plates`` bool [`MAX_TARGETS`].

    Raises:
        DataError: if the image cannot be read.
    """
    image = frame.read()
    shrinks = image.shape[1] > size[0]
    scene = cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    factors = np.array(size) / (image.shape[1], image.shape[0])
    targets = sorted(frame.targets, key=lambda target: -target.area)
    scaled = [(target.corners + 0.5) * factors - 0.5 for target in targets]
    corners = np.full((MAX_TARGETS, 4, 2), np.nan, np.float32)
    plates = np.zeros(MAX_TARGETS, np.bool_)
    for place, target in enumerate(targets[:MAX_TARGETS]):
        corners[place], plates[place] = scaled[place], _is_plate(target)
    hidden = _painted_over(np.asarray(scene, np.uint8), scaled[MAX_TARGETS:], scaled[:MAX_TARGETS])
    return {"frames": hidden, "corners": corners, "plates": plates}


def _is_plate(target: AnnotatedTarget) -> bool:
    return "plate" in target.label.lower()


def _painted_over(scene: Image, hidden: Sequence[FloatArray], kept: Sequence[FloatArray]) -> Image:
    if not hidden:
        return scene
    mask = np.zeros(scene.shape[:2], np.uint8)
    for corners in hidden:
        cv2.fillConvexPoly(mask, np.round(corners).astype(np.int32), (255,))
    mask = np.asarray(cv2.dilate(mask, np.ones((2 * _MARGIN_PX + 1,) * 2, np.uint8)), np.uint8)
    for corners in kept:
        cv2.fillConvexPoly(mask, np.round(corners).astype(np.int32), (0,))
    return np.asarray(cv2.inpaint(scene, mask, _AROUND_PX, cv2.INPAINT_TELEA), np.uint8)
