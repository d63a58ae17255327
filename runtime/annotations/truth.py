"""Our own ``truth.json``: ``{"a.jpg": [[x, y], [x, y], [x, y], [x, y]], "two.jpg": [[…], […]], "empty.jpg": null}``.

It lies in the folder of its images, or as ``FOLDER.truth.json`` beside it. Corners are frame pixels, the centre of the
first pixel at (0, 0), TL TR BR BL of the upright target.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stn_rectify.runtime.annotations.corners import Coordinates, DrawnFrame, DrawnSet, DrawnTarget
from stn_rectify.runtime.annotations.folder import Folder, read_json
from stn_rectify.runtime.errors import DataError


def find_truth(folder: Path) -> Path | None:
    """The file with the corners of a folder's frames: ``truth.json`` in it, or ``FOLDER.truth.json`` beside it."""
    candidates = (folder / "truth.json", folder.parent / f"{folder.name}.truth.json")
    return next((c for c in candidates if c.is_file()), None)


def find(folder: Folder) -> Path | None:
    """The file, if there is one."""
    if folder.only is not None:
        name = folder.only.name
        return folder.only if name == "truth.json" or name.endswith(".truth.json") else None
    return find_truth(folder.root)


def read(folder: Folder, file: Path) -> DrawnSet:
    """The frames that it names.

    Raises:
        DataError: if it cannot be read, or is no object with the images' names.
    """
    beside = file.name.removesuffix(".truth.json")
    root = file.parent / beside if file.name != "truth.json" and folder.only is not None else folder.root
    form = f"{file}: expected {{image name: four [x, y] corners, a list of such, or null}}"
    content = read_json(file, refuse_doubles=True)
    if not isinstance(content, dict):
        raise DataError(f"{form}: it is no object")
    if not content:
        raise DataError(f"{form}: it names no image")
    frames = []
    for name, value in content.items():
        targets, wrong = tuple[DrawnTarget, ...](), None
        try:
            targets = _targets(form, name, value)
        except DataError as error:
            wrong = error
        frames.append(DrawnFrame(root / name, targets, file, Coordinates.CENTRES, wrong=wrong))
    return DrawnSet(frames)


def _targets(form: str, name: str, value: Any) -> tuple[DrawnTarget, ...]:
    if not (value is None or isinstance(value, list)):
        raise DataError(f"{form}: {name} has {value!r}"[:300])
    targets = [value] if value and _is_one_target(value) else value or []
    if not all(isinstance(target, list) for target in targets):
        raise DataError(f"{form}: {name} has {value!r}"[:300])
    return tuple(_target(form, name, target, k) for k, target in enumerate(targets))


def _is_one_target(value: list[Any]) -> bool:
    """Tells one target, a list of points, from a list of them: a point holds no list."""
    first = value[0]
    return not (isinstance(first, list) and first and isinstance(first[0], list))


def _target(form: str, name: str, points: list[Any], place: int) -> DrawnTarget:
    if not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise DataError(f"{form}: {name} has {points!r}"[:300])
    return DrawnTarget(points, f"target {place + 1}", ordered=True)
