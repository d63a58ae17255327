"""Corners as a tool has written them, checked and put in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from stn_rectify.runtime.annotations.frames import AnnotatedFrame, AnnotatedTarget
from stn_rectify.runtime.arrays import FloatArray
from stn_rectify.runtime.errors import DataError, SourceError
from stn_rectify.runtime.geometry import is_valid_quadrilateral
from stn_rectify.runtime.images.reading import image_size

#: A target may be small; corners on one line are no target.
_LEAST_AREA_PX = 1e-9
#: A corner further outside the frame than this share of its side is a slip.
_FAR_OUTSIDE = 1.0

#: Names of the corners TL, TR, BR and BL in the tools, without what lies between the words.
_CORNER_NAMES = (
    {"tl", "lt", "ul", "topleft", "lefttop", "upperleft", "leftupper"},
    {"tr", "rt", "ur", "topright", "righttop", "upperright", "rightupper"},
    {"br", "rb", "lr", "bottomright", "rightbottom", "lowerright", "rightlower"},
    {"bl", "lb", "ll", "bottomleft", "leftbottom", "lowerleft", "leftlower"},
)


class Coordinates(Enum):
    """What a format's coordinates mean."""

    CENTRES = "pixels, the centre of the first one at (0, 0)"
    EDGES = "pixels, the outer edge of the first one at (0, 0)"
    SHARES = "shares of the frame's sides, between its outer edges"


@dataclass(frozen=True)
class DrawnTarget:
    """A target as it is written.

    Attributes:
        points: [N, 2], should be four.
        where: names it in its file, as "line 3".
        ordered: whether the format says which corner is which: they should be TL TR BR BL then.
        label: see `AnnotatedTarget`; so ``text``.
    """

    points: Sequence[Sequence[Any]]
    where: str
    ordered: bool = False
    label: str = ""
    text: str = ""


@dataclass(frozen=True)
class DrawnFrame:
    """A frame and its targets as they are written.

    Attributes:
        path: the image file, which may be missing; or what looks for it.
        targets: its targets.
        file: where they are written.
        coordinates: what their coordinates mean.
        size: width and height as they are written; None if they are not.
        wrong: what is wrong with what is written, said where the frame is asked for; None if nothing is.
        left_out: shapes of other kinds, which are not among the targets.
    """

    path: Path | Callable[[], Path]
    targets: tuple[DrawnTarget, ...]
    file: Path
    coordinates: Coordinates
    size: tuple[int, int] | None = None
    wrong: DataError | None = None
    left_out: int = 0


@dataclass(frozen=True)
class DrawnSet:
    """What a reader gives of a folder.

    Attributes:
        frames: all of its frames.
        notes: what was left out or taken for granted, a phrase each.
        description: a file that is about all of the frames, besides those that they are written in.
    """

    frames: Sequence[DrawnFrame]
    notes: Sequence[str] = ()
    description: Path | None = None


def corner_order(names: Sequence[object]) -> list[int] | None:
    """Positions of the corners TL, TR, BR, BL among four names; None if the names do not tell."""
    plain = ["".join(c for c in str(name).lower() if c.isalpha()) for name in names]
    found = [[k for k, name in enumerate(plain) if name in known] for known in _CORNER_NAMES]
    return [places[0] for places in found] if len(plain) == 4 and all(len(places) == 1 for places in found) else None


def checked_frame(drawn: DrawnFrame) -> tuple[AnnotatedFrame, int]:
    """A frame with its corners in frame pixels, clockwise from the top left.

    Corners that go round the wrong way are turned round. Which one comes first: the one that the format says, else the
    one nearest to the top left.

    Args:
        drawn: the frame as it is written.

    Returns:
        The frame, and how many of its targets were put in order.

    Raises:
        DataError: if its annotations could not be read, the image is missing or has another size than the annotated
            one, or a target has not four finite corners that make a convex quadrilateral in or near the frame.
    """
    if drawn.wrong is not None:
        raise drawn.wrong
    path = drawn.path if isinstance(drawn.path, Path) else drawn.path()
    names = [f"{drawn.file}: {target.where} of {path.name}" for target in drawn.targets]
    points = [_points(name, target.points) for name, target in zip(names, drawn.targets, strict=True)]
    try:
        size = image_size(path)
    except SourceError as error:
        raise DataError(f"{drawn.file}: an image is missing or damaged: {error}") from error
    if drawn.size is not None and drawn.size != size:
        turned = " (it is turned by its EXIF orientation)" if drawn.size == size[::-1] else ""
        raise DataError(
            f"{drawn.file}: {path.name} is annotated as {drawn.size[0]}x{drawn.size[1]} pixels, but has "
            f"{size[0]}x{size[1]}{turned}: annotate the image that lies there"
        )
    targets, mended = [], 0
    for name, target, four in zip(names, drawn.targets, points, strict=True):
        written = _in_pixels(four, drawn.coordinates, size)
        _refuse_far_outside(name, written, size)
        corners = _ordered(name, written, ordered=target.ordered)
        mended += bool((corners != written).any())
        targets.append(AnnotatedTarget(corners, target.label, target.text))
    return AnnotatedFrame(path, tuple(targets), size), mended


def _points(name: str, points: Sequence[Sequence[Any]]) -> FloatArray:
    if len(points) != 4:
        raise DataError(f"{name} has {len(points)} points: a target has four corners, so draw it with four")
    try:
        array = np.array([(float(x), float(y)) for x, y in points])
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{name}: expected four corners [x, y]: {error}") from error
    if not np.isfinite(array).all():
        raise DataError(f"{name}: a corner is not a finite number; expected four corners [x, y]")
    return array


def _in_pixels(points: FloatArray, coordinates: Coordinates, size: tuple[int, int]) -> FloatArray:
    if coordinates is Coordinates.SHARES:
        return points * np.array(size, np.float64) - 0.5
    return points - 0.5 if coordinates is Coordinates.EDGES else points


def _refuse_far_outside(name: str, corners: FloatArray, size: tuple[int, int]) -> None:
    sides = np.array(size, np.float64)
    away = np.maximum(-corners, corners - sides).max(axis=1) > _FAR_OUTSIDE * sides.min()
    inside = (corners.max(axis=0) > 0).all() and (corners.min(axis=0) < sides - 1).all()
    if away.any() or not inside:
        x, y = corners[int(away.argmax())]
        raise DataError(
            f"{name} lies {'far ' if away.any() else ''}outside its frame of {size[0]}x{size[1]} pixels, with a corner "
            f"at ({x:.1f}, {y:.1f}): correct it, or delete it"
        )


def _ordered(name: str, corners: FloatArray, *, ordered: bool) -> FloatArray:
    """Corners clockwise, from the first one or from the one nearest to the top left on."""
    if is_valid_quadrilateral(corners, _LEAST_AREA_PX):
        clockwise = corners
    elif is_valid_quadrilateral(corners[::-1], _LEAST_AREA_PX):
        clockwise = corners[[0, 3, 2, 1]]
    else:
        around = corners - corners.mean(axis=0)
        clockwise = corners[np.argsort(np.arctan2(around[:, 1], around[:, 0]))]
        if ordered or not is_valid_quadrilateral(clockwise, _LEAST_AREA_PX):
            advice = (
                "TL TR BR BL, clockwise and convex, y points down: put them into this order"
                if ordered
                else "those of a convex quadrilateral: draw it again"
            )
            raise DataError(f"{name}: its corners are not {advice}")
    return clockwise if ordered else _from_top_left(clockwise)


def _from_top_left(corners: FloatArray) -> FloatArray:
    return np.roll(corners, -int(corners.sum(axis=1).argmin()), axis=0)
