"""Folders of frames whose targets are known, by their corners or by boxes around them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stn_rectify.runtime.arrays import FloatArray
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import is_valid_quadrilateral

_LEAST_AREA_PX = 1e-9  # a target may be small; corners on one line are no target


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
    """

    name: str
    images: tuple[KnownImage, ...]
    boxes: bool = False


def read_folder(folder: Path) -> KnownFolder:
    """Reads what is known of a folder's frames.

    That is ``truth.json`` in it or ``FOLDER.truth.json`` beside it, image name → the corners of its targets in frame
    pixels, or null; or ``boxes.json`` or ``FOLDER.boxes.json``, image name → ``{"box": [x, y, width, height], "text":
    "..."}``, a list of these, or null, where the text may be left out.

    Raises:
        DataError: if there is no such file, or it cannot be read, or is not as it should be.
    """
    folder = folder.resolve()
    name = f"{folder.parent.name}/{folder.name}"
    for kind, read in (("truth", _quadrilaterals), ("boxes", _boxes)):
        file = next(
            (f for f in (folder / f"{kind}.json", folder.parent / f"{folder.name}.{kind}.json") if f.is_file()), None
        )
        if file is not None:
            known = _read_json(file)
            images = []
            for image, value in known.items():
                try:
                    images.append(KnownImage(folder / image, read(value)))
                except (ValueError, TypeError, KeyError, OverflowError) as error:
                    raise DataError(f"{file}: {image}: {error}") from error
            return KnownFolder(name, tuple(images), boxes=kind == "boxes")
    raise DataError(
        f"{folder}: no truth.json or boxes.json in it and no {folder.name}.truth.json or {folder.name}.boxes.json "
        "beside it: write what its frames show into one, or name it with --empty if they show no target"
    )


def _read_json(file: Path) -> Mapping[str, Any]:
    try:
        known = json.loads(file.read_bytes())
    except ValueError as error:
        raise DataError(f"{file} is no JSON: {error}") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
    if not isinstance(known, dict) or not known:
        raise DataError(f"{file} names no image: expected {{image name: ...}}")
    return known


def _quadrilaterals(value: Any) -> tuple[KnownTarget, ...]:
    if value is None or value == []:
        return ()
    corners = np.array(value, np.float64)
    corners = corners[None] if corners.ndim == 2 else corners
    if corners.shape[1:] != (4, 2) or not all(is_valid_quadrilateral(one, _LEAST_AREA_PX) for one in corners):
        raise ValueError("expected four corners [x, y], TL TR BR BL (clockwise and convex), a list of such, or null")
    return tuple(KnownTarget(one) for one in corners)


def _boxes(value: Any) -> tuple[KnownTarget, ...]:
    entries = [] if value is None else value if isinstance(value, list) else [value]
    targets = []
    for entry in entries:
        x, y, width, height = map(float, entry["box"])
        if not (np.isfinite([x, y]).all() and 0 < width < np.inf and 0 < height < np.inf):
            raise ValueError(f"the box {entry['box']} is empty: expected [x, y, width, height] in frame pixels")
        text = entry.get("text")
        if text is not None and not isinstance(text, str):
            raise ValueError(f"the text {text!r} is no string")
        # As everywhere, the centre of the first pixel is (0, 0), so the box begins at its edge.
        corners = np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]]) - 0.5
        targets.append(KnownTarget(corners, text))
    return tuple(targets)
