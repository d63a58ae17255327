"""CVAT for images 1.1: one XML file with polygons, points and skeletons of four, and boxes, which may be rotated.

Rotation is in degrees, clockwise, about the middle of the box; its corners keep their names, so a box turned by 180
degrees is a target that stands on its head. If the points of a skeleton are called top left, top right and so on, its
corners are taken by these names. Other shapes are left out. A project's images lie in a folder for each subset; frames
of a video are named without suffix.
https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/
"""

from __future__ import annotations

import math
from contextlib import suppress
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from stn_rectify.runtime.annotations.corners import Coordinates, DrawnFrame, DrawnSet, DrawnTarget, corner_order
from stn_rectify.runtime.annotations.folder import Folder
from stn_rectify.runtime.annotations.frames import counted
from stn_rectify.runtime.annotations.texts import written_text
from stn_rectify.runtime.errors import DataError

_CORNERS = 4
_NO_TARGETS = frozenset({"tag", "attribute"})  # are about the whole image


def find(folder: Folder) -> Path | None:
    """The file, if there is one.

    Raises:
        DataError: if there are several.
    """
    return folder.the_only(folder.cvat, "CVAT")


def read(folder: Folder, file: Path) -> DrawnSet:
    """The images that it lists, and notes; an image without a shape shows no target.

    Raises:
        DataError: if it is of videos, or an image has no name or size.
    """
    root = folder.cvat[file]
    if root.find("track") is not None:
        raise DataError(f'{file} is "CVAT for video": export the task as "CVAT for images 1.1"')
    text_attributes = {
        str(attribute.findtext("name"))
        for attribute in root.iterfind("meta//label/attributes/attribute")
        if attribute.findtext("input_type") == "text"
    }
    frames = []
    unnamed = 0
    for image in root.iterfind("image"):
        targets, wrong, left_out = list[DrawnTarget](), None, 0
        for place, shape in enumerate(image):
            where = f"{shape.tag} {place + 1}"
            try:
                target = _target(shape, where, text_attributes)
            except (KeyError, ValueError) as error:
                wrong = DataError(
                    f"{file}: {where} of {image.get('name')} is not as CVAT writes it ({error}): export it again"
                )
                break
            left_out += target is None and shape.tag not in _NO_TARGETS
            targets += [] if target is None else [target]
            unnamed += target is not None and shape.tag == "skeleton" and not target.ordered
        try:
            size = (int(image.attrib["width"]), int(image.attrib["height"]))
            path = partial(_image, folder, file, image.attrib["name"], image.get("subset", ""))
        except (KeyError, ValueError) as error:
            raise DataError(f"{file}: an image has no name, width and height ({error!r}): export it again") from error
        frames.append(DrawnFrame(path, tuple(targets), file, Coordinates.EDGES, size, wrong, left_out))
    note = f"points of {counted(unnamed, 'skeleton')} not named as corners, so the top left comes first"
    return DrawnSet(frames, [note] if unnamed else [])


def _image(folder: Folder, file: Path, name: str, subset: str) -> Path:
    """The image: a project's may have the same name in several subsets."""
    if subset:
        with suppress(DataError):
            return folder.image(f"{subset}/{name}", file)
    return folder.image(name, file)


def _target(shape: ElementTree.Element, where: str, text_attributes: set[str]) -> DrawnTarget | None:
    if shape.tag == "box":
        points, ordered = _box(shape), True
    elif shape.tag == "skeleton":
        points, ordered = _skeleton(shape)
    elif shape.tag in ("polygon", "points"):
        points, ordered = _pairs(shape), False
        if shape.tag == "points" and len(points) != _CORNERS:  # marks of something else
            return None
    else:
        return None
    attributes = {str(a.get("name")): a.text or "" for a in shape.iterfind("attribute")}
    own = [attributes[name] for name in attributes if name in text_attributes]
    text = own[0] if len(own) == 1 else written_text(attributes)
    return DrawnTarget(points, where, ordered, shape.get("label", ""), text)


def _pairs(shape: ElementTree.Element) -> list[list[float]]:
    return [[float(number) for number in pair.split(",")] for pair in shape.attrib["points"].split(";")]


def _skeleton(shape: ElementTree.Element) -> tuple[list[list[float]], bool]:
    """Its points, and whether they are in the order of the corners that they are called."""
    elements = shape.findall("points")
    if any(element.get("outside") == "1" for element in elements):
        raise ValueError("a point is not marked: mark all four corners, hidden ones too")
    points = [pair for element in elements for pair in _pairs(element)]
    order = corner_order([element.get("label") for element in elements]) if len(points) == _CORNERS else None
    return ([points[k] for k in order], True) if order is not None else (points, False)


def _box(shape: ElementTree.Element) -> list[list[float]]:
    x0, y0, x1, y1 = (float(shape.attrib[name]) for name in ("xtl", "ytl", "xbr", "ybr"))
    angle = math.radians(float(shape.get("rotation", 0)))
    cosine, sine = math.cos(angle), math.sin(angle)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    half_x, half_y = (x1 - x0) / 2, (y1 - y0) / 2
    around = [(-half_x, -half_y), (half_x, -half_y), (half_x, half_y), (-half_x, half_y)]
    return [[x + cosine * dx - sine * dy, y + sine * dx + cosine * dy] for dx, dy in around]
