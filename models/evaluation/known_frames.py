"""Frames whose targets are known: folders of real ones, and synthesised ones that no training saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.models.progress import Progress
from stn_rectify.models.synthesis import FrameSynthesiser
from stn_rectify.runtime.annotations import read_annotations
from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.errors import DataError, SourceError
from stn_rectify.runtime.geometry import is_valid_quadrilateral
from stn_rectify.runtime.images.reading import read_image
from stn_rectify.runtime.rectifying.pixels.preprocess import resize_antialiased

_MOST_FRAMES = 1000  # of a folder: they are kept in memory
_LEAST_AREA_PX = 1e-9  # a target may be small; corners on one line are no target


@dataclass(frozen=True)
class KnownFrames:
    """Frames with known corners.

    Attributes:
        name: heading of their row in the table.
        frames: BGR uint8 [H, W, 3] each.
        corners: float64 [4, 2] each, frame pixels; None where the frame holds no target.
        kinds: the kind of each target, for pictures of each kind; empty if the kinds are not known.
        about: one line about annotated frames, what was mended or left out included; empty for others.
    """

    name: str
    frames: tuple[Array, ...]
    corners: tuple[Array | None, ...]
    kinds: tuple[str, ...] = ()
    about: str = ""

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Width and height of each frame, pixels."""
        return tuple((frame.shape[1], frame.shape[0]) for frame in self.frames)


def read_truth(source: Path) -> KnownFrames:
    """The annotated frames of a folder, of any format, at full resolution, each with the largest of its targets.

    Args:
        source: see `stn_rectify.runtime.annotations.read_annotations`; more than 1000 frames are thinned out evenly.

    Raises:
        DataError: if annotations or an image are missing, cannot be read, or are not as they should be.
    """
    read = read_annotations(source, _MOST_FRAMES).largest_only()
    frames = tuple(frame.read() for frame in read.frames)
    corners = tuple(None if frame.largest is None else frame.largest.corners for frame in read.frames)
    return KnownFrames(f"{source.parent.name}/{source.name}", frames, corners, about=read.summary)


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


def read_frame(path: Path) -> Array:
    """An image file, BGR uint8 [H, W, 3]; one of very many pixels scaled down, with a warning.

    Raises:
        DataError: if the file is missing or damaged.
    """
    try:
        image = read_image(path, reduce=True)
    except SourceError as error:
        raise DataError(f"an image is missing or damaged: {error}; remove it, or mend it") from error
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
    """A BGR uint8 frame, or for a grey network a grey one, as it sees it: float32 [H, W, C] in [0, 1], RGB or grey."""
    small: Array = resize_antialiased(frame, shape[1], shape[0])
    if shape[2] == 1:
        small = (small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_BGR2GRAY))[..., None]
    else:
        small = small[..., ::-1]
    return np.asarray(small / np.float32(255))
