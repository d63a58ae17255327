"""Frames whose targets are known: folders of real ones, and synthesised ones that no training saw."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.models.progress import Progress
from stn_rectify.models.synthesis import FrameSynthesiser
from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.errors import DataError, SourceError
from stn_rectify.runtime.geometry import is_valid_quadrilateral
from stn_rectify.runtime.rectifying.preprocess import resize_antialiased
from stn_rectify.runtime.sources.images import read_image

_LEAST_AREA_PX = 1e-9  # a target may be small; corners on one line are no target


@dataclass(frozen=True)
class KnownFrames:
    """Frames with known corners.

    Attributes:
        name: heading of their row in the table.
        frames: BGR uint8 [H, W, 3] each.
        corners: float64 [4, 2] each, frame pixels; None where the frame holds no target.
        kinds: the kind of each target, for pictures of each kind; empty if the kinds are not known.
    """

    name: str
    frames: tuple[Array, ...]
    corners: tuple[Array | None, ...]
    kinds: tuple[str, ...] = ()

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Width and height of each frame, pixels."""
        return tuple((frame.shape[1], frame.shape[0]) for frame in self.frames)


def find_truth(folder: Path) -> Path | None:
    """The file with the corners of a folder's frames: ``truth.json`` in it, or ``FOLDER.truth.json`` beside it."""
    candidates = (folder / "truth.json", folder.parent / f"{folder.name}.truth.json")
    return next((c for c in candidates if c.is_file()), None)


def read_truth(folder: Path) -> KnownFrames:
    """All frames of a folder with a ``truth.json`` (`read_corners`), at full resolution.

    Raises:
        DataError: if the file or an image is missing, cannot be read, or is not as it should be.
    """
    truth = read_corners(folder)
    frames = tuple(read_frame(folder / name) for name in truth)
    return KnownFrames(f"{folder.parent.name}/{folder.name}", frames, tuple(truth.values()))


def read_corners(folder: Path) -> dict[str, Array | None]:
    """Reads the corners of a folder's frames from ``truth.json`` in it, or ``FOLDER.truth.json`` beside it.

    The file maps image names to four corners: ``{"a.jpg": [[x, y], [x, y], [x, y], [x, y]], ...}``, frame pixels,
    TL, TR, BR, BL of the upright target; or to null where the frame holds no target.

    Returns:
        Image name → float64 [4, 2], frame pixels; None where the frame holds no target.

    Raises:
        DataError: if the file is missing, cannot be read, or is not as above.
    """
    file = find_truth(folder)
    if file is None:
        raise DataError(f"{folder}: no truth.json in it and no {folder.name}.truth.json beside it")
    try:
        truth = {name: _corners(value) for name, value in json.loads(file.read_bytes()).items()}
        if not truth:
            raise ValueError("it names no image")
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(f"{file}: expected {{image name: four [x, y] corners, or null}}: {error}") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
    refuse_wrong_order(file, {name: corners for name, corners in truth.items() if corners is not None})
    return truth


def refuse_wrong_order(file: Path, corners: Mapping[Any, Array]) -> None:
    """Refuses corners that no check could use.

    Args:
        file: the file that they come from.
        corners: [4, 2], by name or number of the frame.

    Raises:
        DataError: if some of them make no convex quadrilateral TL TR BR BL.
    """
    wrong = [name for name, c in corners.items() if not is_valid_quadrilateral(c, _LEAST_AREA_PX)]
    if wrong:
        raise DataError(
            f"{file}: corners of {len(wrong)} of {len(corners)} frames are not TL TR BR BL (clockwise and convex, y "
            f"points down), the first of frame {wrong[0]}: put them into this order"
        )


def _corners(value: Any) -> Array | None:
    if value is None:
        return None
    corners = np.array(value, np.float64).reshape(4, 2)
    if not np.isfinite(corners).all():
        raise ValueError("a corner is not a finite number")
    return corners


def read_frame(path: Path) -> Array:
    """An image file, BGR uint8 [H, W, 3].

    Raises:
        DataError: if the file is missing or damaged.
    """
    try:
        image = read_image(path)
    except SourceError as error:
        raise DataError(f"an image is missing or damaged: {error}") from error
    return image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)


def synthesised_hold_out(count: int, seed: int, backgrounds: Path | None, targets: Path | None = None) -> KnownFrames:
    """Synthesised frames 640×480 of a seed that training does not use."""
    synthesiser = FrameSynthesiser(
        seed=seed + 1_000_003, frame_size=(640, 480), backgrounds=backgrounds, targets=targets
    )
    frames, corners, kinds = [], [], []
    with Progress("synthesising", count, unit="frame") as progress:
        for index in range(count):
            sample = synthesiser(index)
            frames.append(sample.frame)
            corners.append(sample.corners)
            kinds.append(sample.kind)
            progress.advance()
    return KnownFrames("synthesised hold-out", tuple(frames), tuple(corners), tuple(kinds))


def network_input(frame: Array, shape: tuple[int, int, int]) -> npt.NDArray[np.float32]:
    """A BGR uint8 frame as the network sees it on a device: float32 [H, W, C] in [0, 1], RGB or grey."""
    small: Array = resize_antialiased(frame, shape[1], shape[0])
    small = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)[..., None] if shape[2] == 1 else small[..., ::-1]
    return np.asarray(small / np.float32(255))
