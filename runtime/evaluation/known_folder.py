"""Folders of frames whose targets are known, by their corners or by boxes around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stn_rectify.runtime.annotations import has_annotations, read_annotations
from stn_rectify.runtime.annotations.folder import images_of, read_json
from stn_rectify.runtime.annotations.frames import counted
from stn_rectify.runtime.arrays import FloatArray
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.images.finding import image_files

_BOXES = "boxes.json"


@dataclass(frozen=True, eq=False)
class KnownTarget:
    """A target that a frame holds.

    Attributes:
        corners: float64 [4, 2], frame pixels, TL TR BR BL of the upright target; or of the box around it.
        text: what is written there; None if that is not known.
    """

    corners: FloatArray
    text: str | None = None


@dataclass(frozen=True)
class KnownImage:
    """A frame's file and the targets in it, none or more."""

    path: Path
    targets: tuple[KnownTarget, ...]


@dataclass(frozen=True)
class KnownFolder:
    """Frames whose targets are known.

    Attributes:
        name: heading of their tables.
        images: the frames' files and targets.
        boxes: whether only boxes around the targets are known, and no corners.
        left_out: frames that are not among them because their annotations or images are wrong.
        note: a line about what was read; empty if there is nothing to say.
    """

    name: str
    images: tuple[KnownImage, ...]
    boxes: bool = False
    left_out: int = 0
    note: str = ""


def read_folder(source: Path, on_error: Callable[[DataError], None]) -> KnownFolder:
    """Reads what is known of some frames.

    Corners are read from any format of `stn_rectify.runtime.annotations`; boxes from ``boxes.json`` in the folder or
    ``FOLDER.boxes.json`` beside it: ``{"a.jpg": {"box": [x, y, width, height], "text": "..."}, ...}``, frame pixels
    from the outer edge of the first; a list of these, or null; the text may be left out.

    Args:
        source: a folder, or the file of annotations in it or beside it.
        on_error: called with the error of a frame whose annotations or image are wrong, which is then left out.

    Raises:
        DataError: if there are no annotations, or several, or they cannot be read, or are wrong for every frame.
    """
    source = source.resolve()
    if source.is_file() and source.name == _BOXES:
        return _with_boxes(source.parent, source, on_error)
    if source.is_file() and source.name.endswith(f".{_BOXES}"):
        return _with_boxes(source.with_name(source.name.removesuffix(f".{_BOXES}")), source, on_error)
    candidates = (source / _BOXES, source.parent / f"{source.name}.{_BOXES}")
    boxes = next((file for file in candidates if file.is_file()), None)
    has_corners = has_annotations(source)
    if boxes is None:
        return _with_corners(source, on_error, has_corners=has_corners)
    if has_corners:
        raise DataError(f"{source} has other annotations beside {boxes}: leave one of them there")
    return _with_boxes(source, boxes, on_error)


def read_empty_folder(folder: Path) -> KnownFolder:
    """The images of a folder none of which shows a target.

    Raises:
        SourceError: if there is no image in it.
    """
    files = image_files(str(folder))
    return KnownFolder(_name(folder.resolve()), tuple(KnownImage(file, ()) for file in files))


def _name(source: Path) -> str:
    return f"{source.parent.name}/{source.name}"


def _with_boxes(folder: Path, file: Path, on_error: Callable[[DataError], None]) -> KnownFolder:
    images, left_out = [], list[DataError]()
    known = _read_boxes(file)
    for image, value in known.items():
        try:
            images.append(KnownImage(folder / image, _boxes(value)))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            wanted = 'expected {"box": [x, y, width, height], "text": "..."}, a list of these, or null'
            left_out.append(DataError(f"{file}: {image}: {wanted}: {error!r}"))
    _say(left_out, len(images), on_error)
    named = {folder / image for image in known}
    unnamed = sum(image not in named for image in images_of(folder, subfolders=True)) if folder.is_dir() else 0
    note = f"{folder}: {counted(unnamed, 'image')} that {file.name} does not name left out" if unnamed else ""
    return KnownFolder(_name(folder), tuple(images), boxes=True, left_out=len(left_out), note=note)


def _say(left_out: Sequence[DataError], others: int, on_error: Callable[[DataError], None]) -> None:
    """Says what is left out, frame by frame; as one error if nothing else is there."""
    if left_out and not others:
        more = f" (and {len(left_out) - 1} more: no frame is left)" if len(left_out) > 1 else ""
        raise DataError(f"{left_out[0]}{more}") from left_out[0]
    for error in left_out:
        on_error(error)


def _with_corners(source: Path, on_error: Callable[[DataError], None], *, has_corners: bool) -> KnownFolder:
    left_out: list[DataError] = []
    try:
        annotations = read_annotations(source, on_error=left_out.append)
    except DataError as error:
        if has_corners:
            raise
        boxes = "boxes.json (in it, or FOLDER.boxes.json beside it)"
        raise DataError(f"{error}; {boxes}. Frames that show no target are named by --empty") from error
    _say(left_out, len(annotations.frames), on_error)
    images = tuple(
        KnownImage(frame.path, tuple(KnownTarget(target.corners, target.text or None) for target in frame.targets))
        for frame in annotations.frames
    )
    return KnownFolder(_name(source), images, left_out=len(left_out), note=annotations.summary)


def _read_boxes(file: Path) -> Mapping[str, Any]:
    known = read_json(file, refuse_doubles=True)
    if not isinstance(known, dict) or not known:
        raise DataError(f"{file} names no image: expected {{image name: ...}}")
    return known


def _boxes(value: Any) -> tuple[KnownTarget, ...]:
    entries = [] if value is None else value if isinstance(value, list) else [value]
    targets = []
    for entry in entries:
        x, y, width, height = map(float, entry["box"])
        if not (np.isfinite([x, y]).all() and 0 < width < np.inf and 0 < height < np.inf):
            raise ValueError(f"the box {entry['box']} is empty")
        text = entry.get("text")
        if text is not None and not isinstance(text, str):
            raise ValueError(f"the text {text!r} is no string")
        # As everywhere, the centre of the first pixel is (0, 0).
        corners = np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]]) - 0.5
        targets.append(KnownTarget(corners, text))
    return tuple(targets)
