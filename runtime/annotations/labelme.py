"""labelme: a JSON file for each image, with polygons of four points or rectangles.

A rectangle has two opposite corners. Shapes of four points that other versions and programs write (``rotation``,
``oriented_rectangle``, ``quadrilateral``) are taken, too; points, lines, circles and masks are left out. An image
without a file is not annotated. https://github.com/wkentaro/labelme
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

_FOUR_POINTS = frozenset({"polygon", "rotation", "oriented_rectangle", "quadrilateral"})


def find(folder: Folder) -> list[Path] | None:
    """The files, if there are some."""
    return folder.labelme or None


def read(folder: Folder, files: list[Path]) -> DrawnSet:
    """The images that have a file, and notes.

    A file that is damaged or not as above is a frame that is wrong.
    """
    frames, named = [], set()
    for file in files:
        frame = _frame(folder, file)
        if isinstance(frame.path, Path):
            named.add(frame.path.resolve())
        frames.append(frame)
    bare = [other for other in folder.images if other.resolve() not in named] if folder.only is None else []
    wrong = {frame.file for frame in frames if frame.wrong is not None}
    for image in list(bare):
        beside = image.with_suffix(".json")
        if beside in wrong:
            bare.remove(image)
        elif beside.exists():  # of another maker, or so short that nothing says what it was
            try:
                read_json(beside)
            except DataError as error:
                frames.append(_wrong(beside, error))
                bare.remove(image)
    return DrawnSet(frames, [f"{counted(len(bare), 'image')} without a file left out"] if bare else [])


def _wrong(file: Path, error: DataError) -> DrawnFrame:
    return DrawnFrame(file.parent, (), file, Coordinates.EDGES, wrong=error)


def _frame(folder: Folder, file: Path) -> DrawnFrame:
    try:
        content = read_json(file)
    except DataError as error:
        return _wrong(file, error)
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        return _wrong(file, DataError(f"{file}: its shapes are no list, as labelme writes them: save it again"))
    name = content.get("imagePath")
    if not isinstance(name, str) or not name:
        return _wrong(file, DataError(f"{file}: its imagePath does not name an image: save it again"))
    targets, wrong, left_out = list[DrawnTarget](), None, 0
    for place, shape in enumerate(content["shapes"]):
        try:
            target = _target(shape, f"shape {place + 1}")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            said = f"{file}: shape {place + 1} is not as labelme writes it ({error!r}): save it again"
            wrong = wrong or DataError(said)
            continue
        left_out += target is None
        targets += [] if target is None else [target]
    width, height = content.get("imageWidth"), content.get("imageHeight")
    size = (width, height) if isinstance(width, int) and isinstance(height, int) and width > 0 < height else None
    path: Path | Callable[[], Path]
    try:
        path = folder.image(name, file)
    except DataError:  # said when the frame is asked for, if it is
        path = partial(folder.image, name, file)
    return DrawnFrame(path, tuple(targets), file, Coordinates.EDGES, size, wrong, left_out)


def _target(shape: Mapping[str, Any], where: str) -> DrawnTarget | None:
    kind, points = shape.get("shape_type") or "polygon", list(shape["points"])
    if kind == "rectangle" and len(points) == 2:
        (x0, y0), (x1, y1) = points
        points = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]
    elif kind not in _FOUR_POINTS and kind != "rectangle":
        return None
    return DrawnTarget(points, where, False, str(shape.get("label") or ""), str(shape.get("description") or ""))
