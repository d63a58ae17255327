"""The formats of annotations: which of them a folder holds, and what it says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from stn_rectify.runtime.annotations import ccpd, coco, cvat, labelme, truth, yolo
from stn_rectify.runtime.annotations.corners import DrawnSet, checked_frame
from stn_rectify.runtime.annotations.folder import Folder, images_of
from stn_rectify.runtime.annotations.frames import Annotations, counted
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.files import open_file
from stn_rectify.runtime.images.kinds import LONGEST_FOREIGN_START, foreign_kind

#: Folders that are parts of others, for messages.
_PARTS = ("labels", "annotations")
_MOST_LOOKED_AT = 16


@dataclass(frozen=True)
class _Format:
    """A format.

    Attributes:
        name: what it is called, or a function that says it of what was found.
        look_for: what its folders hold.
        find: gives what it finds in a folder, None for nothing.
        read: gives the frames of what was found.
        is_list: whether a file lists the images, so that others may lie there; the readers of the other formats say
            themselves which they leave out.
    """

    name: str | Callable[[Any], str]
    look_for: str
    find: Callable[[Folder], Any]
    read: Callable[[Folder, Any], DrawnSet]
    is_list: bool = False


_TRUTH = _Format("truth.json", "truth.json (in it, or FOLDER.truth.json beside it)", truth.find, truth.read, True)
_OTHERS = (
    _Format("COCO", "COCO (a .json with images and annotations)", coco.find, coco.read, True),
    _Format(yolo.kind, "YOLO-pose or YOLO-OBB (images/ and labels/*.txt, data.yaml)", yolo.find, yolo.read),
    _Format("labelme", "labelme (a .json for each image)", labelme.find, labelme.read),
    _Format("CVAT", "CVAT for images 1.1 (annotations.xml)", cvat.find, cvat.read, True),
    _Format("CCPD", "CCPD (file names)", ccpd.find, ccpd.read),
)


def has_annotations(source: str | PathLike[str]) -> bool:
    """Tells whether annotations of a known format lie in a folder.

    A damaged COCO or CVAT file counts as none: it may be of another maker.

    Raises:
        DataError: if there is no such folder or file, or annotations lie there that cannot be told apart.
    """
    return bool(_found(Folder(Path(source))))


def read_annotations(
    source: str | PathLike[str], limit: int | None = None, *, on_error: Callable[[DataError], None] | None = None
) -> Annotations:
    """Reads annotated frames of any format; which it is follows from what lies in the folder.

    A ``truth.json`` counts before all others. All annotations are parsed, but only the frames that are returned are
    looked for, opened and checked.

    Args:
        source: a folder, or the file of annotations in it (a COCO file, CVAT's XML file, a data set's YAML file).
        limit: more frames than this are thinned out evenly.
        on_error: called with the error of a frame whose image is missing or whose annotations are not as they should
            be, which is then left out. None raises it.

    Returns:
        The frames, at least one unless all were left out, and what was mended or left out.

    Raises:
        DataError: if there is no format that is known or more than one, no shape of four corners, an image is missing
            or annotated twice, or a target is not as it should be; see
            `stn_rectify.runtime.annotations.corners.checked_frame`.

    Example:
        >>> for frame in read_annotations("labelled").frames:
        ...     print(frame.path, [target.label for target in frame.targets])
    """
    source = Path(source)
    folder = Folder(source)
    found = _found(folder)
    if not found:
        looked_for = "; ".join(one.look_for for one in (_TRUTH, *_OTHERS))
        damaged = f" ({folder.damaged[0]})" if folder.damaged else ""
        raise DataError(
            f"{source}: no annotations: {_hint(folder)}no truth.json in it and none of the other formats{damaged}; "
            f"looked for: {looked_for}"
        )
    if len(found) > 1:
        names = " and ".join(_name(one, what) for one, what in found)
        raise DataError(f"{source} holds annotations of several kinds ({names}): leave one there, or name its file")
    one, what = found[0]
    drawn = one.read(folder, what)
    if not drawn.frames:
        raise DataError(f"{source}: the {_name(one, what)} annotations name no image")
    known = [frame for frame in drawn.frames if frame.targets or frame.wrong is not None or not frame.left_out]
    if not known:
        raise DataError(
            f"{source}: the {_name(one, what)} annotations have shapes of other kinds only (points, lines, masks): "
            "draw each target with four corners, as a polygon"
        )
    count = len(known)
    chosen = np.unique(np.linspace(0, count - 1, min(count, limit or count)).astype(int))
    frames = [known[k] for k in chosen]
    checked = []
    seen = dict[Path, Path]()
    for frame in frames:
        try:
            read, number = checked_frame(frame)
            _refuse_second(read.path, frame.file, seen)
            checked.append((read, number))
        except DataError as error:
            if on_error is None:
                raise
            on_error(error)
    mended = sum(number for _, number in checked)
    shapes, bare = sum(frame.left_out for frame in drawn.frames), len(drawn.frames) - count
    notes = (
        (shapes, f"{counted(shapes, 'shape')} of other kinds left out"),
        (bare, f"{counted(bare, 'frame')} with nothing but such shapes left out"),
    )
    order = [f"corners of {counted(mended, 'target')} put in the order TL TR BR BL"] if mended else []
    files = dict.fromkeys([*(frame.file for frame in frames), *filter(None, [drawn.description])])
    return Annotations(
        source,
        _name(one, what),
        tuple(frame for frame, _ in checked),
        count,
        (
            *(note for number, note in notes if number),
            *drawn.notes,
            *order,
            *(_unnamed(folder, drawn) if one.is_list else ()),
        ),
        tuple(file for file in files if file.is_file()),
    )


def _refuse_second(image: Path, file: Path, seen: dict[Path, Path]) -> None:
    """Refuses an image that has been annotated before: each of the two would miss the targets of the other."""
    place = Path(os.path.abspath(image))  # a link to an image is another one
    if place in seen:
        where = "twice" if seen[place] == file else f"in {seen[place]}, too"
        raise DataError(f"{file}: {image.name} is annotated {where}: put all of its targets in one place")
    seen[place] = file


def _hint(folder: Folder) -> str:
    """What to do about a folder or a file without annotations, where that is known; it ends in a space then."""
    if folder.only is not None:
        try:
            with open_file(folder.only) as stream:
                kind = foreign_kind(stream.read(LONGEST_FOREIGN_START))
        except OSError as error:
            return f"it cannot be read ({error.strerror or error}); "
        return f"it is {kind}; " if kind else ""
    below = [child for child in sorted(folder.root.iterdir()) if child.is_dir() and not child.name.startswith(".")]
    above = [folder.root.parent] if folder.root.name in _PARTS else []
    places = []
    for place in (*below[:_MOST_LOOKED_AT], *above):
        with suppress(DataError):
            places += [place] if _found(Folder(place)) else []
    return f"name {' or '.join(map(str, places))}; " if places else ""


def _unnamed(folder: Folder, drawn: DrawnSet) -> Iterator[str]:
    """A phrase about the images that lie beside those that are named, if there are any."""
    named = set[Path]()
    for frame in drawn.frames:
        with suppress(DataError):  # said where the frame is asked for
            named.add((frame.path if isinstance(frame.path, Path) else frame.path()).resolve())
    # A file that was named lists the images of its folder, or a part of a data set whose others lie elsewhere.
    places = [folder.root] if folder.only is None else {path.parent for path in named if path.parent.is_dir()}
    others = {image.resolve() for place in places for image in images_of(place, subfolders=folder.only is None)}
    count = len(others - named)
    if count:
        yield f"{counted(count, 'image')} that no annotation names left out"


def _found(folder: Folder) -> list[tuple[_Format, Any]]:
    file = _TRUTH.find(folder)
    if file is not None:
        return [(_TRUTH, file)]
    return [(one, what) for one in _OTHERS if (what := one.find(folder)) is not None]


def _name(one: _Format, what: Any) -> str:
    return one.name if isinstance(one.name, str) else one.name(what)
