"""labelme: a JSON file for each image, with polygons of four points or rectangles.

A rectangle has two opposite corners. Shapes of four points that other versions and programs write (``rotation``,
``oriented_rectangle``) are taken, too; points, lines, circles and masks are left out. An image without a file is not
annotated. https://github.com/wkentaro/labelme
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from stn_rectify.runtime.annotations.corners import Coordinates, DrawnFrame, DrawnSet, DrawnTarget
from stn_rectify.runtime.annotations.folder import Folder, read_json
from stn_rectify.runtime.annotations.frames import counted
from stn_rectify.runtime.errors import DataError

_FOUR_POINTS = frozenset({"polygon", "rotation", "oriented_rectangle"})


def find(folder: Folder) -> list[Path] | None:
    """The files, if there are some."""
    return folder.labelme or None


def read(folder: Folder, files: list[Path]) -> DrawnSet:
    """The images that have a file, and notes.

    Raises:
        DataError: if a file is damaged or not as above.
    """
    frames, named, left_out = [], set(), 0
    for file in files:
        content = read_json(file)
        if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
            raise DataError(f"{file}: its shapes are no list, as labelme writes them: save it again")
        targets = []
        for place, shape in enumerate(content["shapes"]):
            try:
                target = _target(shape, f"shape {place + 1}")
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise DataError(
                    f"{file}: shape {place + 1} is not as labelme writes it ({error!r}): save it again"
                ) from error
            left_out += target is None
            targets += [] if target is None else [target]
        width, height = content.get("imageWidth"), content.get("imageHeight")
        size = (width, height) if isinstance(width, int) and isinstance(height, int) else None
        name = str(content.get("imagePath"))
        path: Path | Callable[[], Path]
        try:
            path = folder.image(name, file)
            named.add(path.resolve())
        except DataError:  # said when the frame is asked for, if it is
            path = partial(folder.image, name, file)
        frames.append(DrawnFrame(path, tuple(targets), file, Coordinates.EDGES, size))
    bare = [other for other in folder.images if other.resolve() not in named] if folder.only is None else []
    for image in bare:
        beside = image.with_suffix(".json")
        if beside.exists():  # of another maker, or so short that nothing says what it was
            read_json(beside)
    notes = [
        (left_out, f"{counted(left_out, 'shape')} of other kinds left out"),
        (len(bare), f"{counted(len(bare), 'image')} without a file left out"),
    ]
    return DrawnSet(frames, [note for count, note in notes if count])


def _target(shape: Mapping[str, Any], where: str) -> DrawnTarget | None:
    kind, points = shape.get("shape_type") or "polygon", shape["points"]
    if kind == "rectangle" and len(points) == 2:
        (x0, y0), (x1, y1) = points
        points = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]
    elif kind not in _FOUR_POINTS and kind != "rectangle":
        return None
    return DrawnTarget(points, where, False, str(shape.get("label") or ""), str(shape.get("description") or ""))
