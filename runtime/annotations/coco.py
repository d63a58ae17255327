"""COCO: instances with four keypoints, or with a segmentation polygon of four points.

``keypoints`` holds x, y and visibility of each (0: not marked). The categories may name the keypoints; if they say top
left, top right and so on, corners are taken by these names. https://cocodataset.org/#format-data
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from stn_rectify.runtime.annotations.corners import Coordinates, DrawnFrame, DrawnSet, DrawnTarget, corner_order
from stn_rectify.runtime.annotations.folder import Folder
from stn_rectify.runtime.annotations.frames import counted
from stn_rectify.runtime.annotations.texts import written_text
from stn_rectify.runtime.errors import DataError

_NUMBERS = 3 * 4  # of four keypoints


def find(folder: Folder) -> Path | None:
    """The file, if there is one.

    Raises:
        DataError: if there are several.
    """
    return folder.the_only(folder.coco, "COCO")


def read(folder: Folder, file: Path) -> DrawnSet:
    """The images that it lists, and notes; an image without an instance shows no target.

    Raises:
        DataError: if the file is not as COCO's are, or it is not clear which image an instance is of.
    """
    content = folder.coco[file]
    try:
        categories = {category["id"]: category for category in content.get("categories") or []}
        images = dict[Any, Any]()
        for image in content["images"]:
            other = images.setdefault(image["id"], image)
            if other is not image:
                names = f"{other.get('file_name')} and {image.get('file_name')}"
                raise DataError(
                    f"{file}: two of its images have the id {image['id']} ({names}): give each one of its own"
                )
        wrong = dict[Any, DataError]()
        targets: dict[Any, list[DrawnTarget]] = {image: [] for image in images}
        coordinates = dict.fromkeys(images, Coordinates.EDGES)
        unnamed = 0
        for annotation in content["annotations"]:
            image = annotation["image_id"]
            where = f"annotation {annotation.get('id', '?')}"
            if image not in images:
                raise DataError(f"{file}: {where} is of image {image}, which is missing from its images")
            category = categories.get(annotation.get("category_id"), {})
            try:
                target, from_keypoints = _target(file, where, annotation, category)
            except DataError as error:
                wrong.setdefault(image, error)
                continue
            unnamed += from_keypoints and not target.ordered
            targets[image].append(target)
            if from_keypoints:
                coordinates[image] = Coordinates.CENTRES
        frames = [
            DrawnFrame(
                partial(folder.image, str(image["file_name"]), file),
                tuple(targets[key]),
                file,
                coordinates[key],
                (int(image["width"]), int(image["height"])) if image.get("width") and image.get("height") else None,
                wrong.get(key),
            )
            for key, image in images.items()
        ]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(f"{file} is no COCO file as it should be ({error!r}): export it again") from error
    notes = [f"keypoints of {counted(unnamed, 'target')} not named, so the top left comes first"] if unnamed else []
    return DrawnSet(frames, notes)


def _target(
    file: Path, where: str, annotation: Mapping[str, Any], category: Mapping[str, Any]
) -> tuple[DrawnTarget, bool]:
    """An instance, and whether its points are keypoints."""
    label = str(category.get("name", ""))
    text = written_text({**annotation, **(annotation.get("attributes") or {})})
    keypoints = annotation.get("keypoints") or []
    if any(keypoints):
        if len(keypoints) != _NUMBERS:
            raise DataError(f"{file}: {where} has {len(keypoints) / 3:g} keypoints: a target has four corners")
        points = [keypoints[k : k + 3] for k in range(0, _NUMBERS, 3)]
        if any(v == 0 and x == 0 and y == 0 for x, y, v in points):
            raise DataError(
                f"{file}: {where} has a keypoint that is not marked: mark all four corners, hidden ones too"
            )
        order = corner_order(category.get("keypoints") or [])
        corners = [points[k][:2] for k in order or range(4)]
        return DrawnTarget(corners, where, order is not None, label, text), True
    polygons = annotation.get("segmentation")
    if isinstance(polygons, list) and polygons and not isinstance(polygons[0], list):  # without the list around it
        polygons = [polygons]
    if not isinstance(polygons, list) or len(polygons) != 1:
        kind = "a mask" if isinstance(polygons, dict) else f"{len(polygons or [])} polygons"
        raise DataError(f"{file}: {where} has no keypoints and {kind}: a target needs a polygon of its four corners")
    numbers = polygons[0]
    points = [numbers[k : k + 2] for k in range(0, len(numbers), 2)]
    if len(points) == 5 and points[0] == points[-1]:  # closed by its first point
        points.pop()
    return DrawnTarget(points, where, False, label, text), False
