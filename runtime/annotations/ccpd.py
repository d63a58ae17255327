"""CCPD (Chinese City Parking Dataset): the names of the images say where the plate is and what it reads.

``025-95_113-154&383_386&473-386&473_177&454_154&383_363&402-0_0_22_27_27_33_16-37-15.jpg``: area, tilt, box, the
corners from the bottom right on clockwise, the characters, brightness, blur. https://github.com/detectRecog/CCPD
"""

from __future__ import annotations

import re
from pathlib import Path

from stn_rectify.runtime.annotations.corners import Coordinates, DrawnFrame, DrawnSet, DrawnTarget
from stn_rectify.runtime.annotations.folder import Folder
from stn_rectify.runtime.annotations.frames import counted
from stn_rectify.runtime.errors import DataError

_PROVINCES = "皖沪津渝冀晋蒙辽吉黑苏浙京闽赣鲁豫鄂湘粤桂琼川贵云藏陕甘青宁新警学O"
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZO"
_CHARACTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789O"  # O stands for no character

_NAME = re.compile(r"[\d.]+-\d+_\d+-\d+&\d+_\d+&\d+-(?P<corners>[-\d&_]+)-(?P<plate>\d+(?:_\d+)+)-\d+-\d+")
#: The part of the data set whose images show no plate.
_EMPTY_PART = "ccpd_np"


def find(folder: Folder) -> list[Path] | None:
    """The images with such a name, if there are some."""
    if folder.only is not None:
        return None
    return [image for image in folder.images if _NAME.fullmatch(image.stem)] or None


def read(folder: Folder, images: list[Path]) -> DrawnSet:
    """Those images, those of ``ccpd_np``, and notes."""
    named = set(images)
    empty = [image for image in folder.images if image.parent.name == _EMPTY_PART and image not in named]
    frames = [_frame(image) for image in images]
    frames += [DrawnFrame(image, (), image, Coordinates.CENTRES) for image in empty]
    rest = len(folder.images) - len(frames)
    return DrawnSet(frames, [f"{counted(rest, 'image')} with other names left out"] if rest else [])


def _frame(image: Path) -> DrawnFrame:
    try:
        return DrawnFrame(image, (_target(image),), image, Coordinates.CENTRES)
    except DataError as error:
        return DrawnFrame(image, (), image, Coordinates.CENTRES, wrong=error)


def _target(image: Path) -> DrawnTarget:
    match = _NAME.fullmatch(image.stem)
    assert match is not None
    corners = [[int(number) for number in pair.split("&")] for pair in _pairs(image, match["corners"])]
    if len(corners) == 4:
        bottom_right, bottom_left, top_left, top_right = corners
        corners = [top_left, top_right, bottom_right, bottom_left]
    alphabets = (_PROVINCES, _LETTERS)
    characters = [int(number) for number in match["plate"].split("_")]
    try:
        text = "".join(
            (alphabets[k] if k < len(alphabets) else _CHARACTERS)[number] for k, number in enumerate(characters)
        )
    except IndexError as error:
        raise DataError(f"{image}: its name has a character that CCPD does not know: correct the name") from error
    return DrawnTarget(corners, "the name", True, "plate", text.removesuffix("O"))


def _pairs(image: Path, text: str) -> list[str]:
    pairs = text.split("_")
    if not all(re.fullmatch(r"-?\d+&-?\d+", pair) for pair in pairs):
        raise DataError(f"{image}: its name has corners that are not x&y: correct the name")
    return pairs
