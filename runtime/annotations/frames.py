"""Annotated frames, whatever tool they come from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.errors import DataError, SourceError
from stn_rectify.runtime.images.reading import read_image


@dataclass(frozen=True, eq=False)
class AnnotatedTarget:
    """A target in a frame.

    Attributes:
        corners: float64 [4, 2], frame pixels, TL TR BR BL of the upright target, the centre of the first pixel at
            (0, 0); they may lie outside the frame.
        label: its class, as the tool calls it; empty if it has none.
        text: what is written on it; empty if that is not known.
    """

    corners: FloatArray
    label: str = ""
    text: str = ""

    @property
    def area(self) -> float:
        """The area that the corners enclose, square pixels."""
        return float(cv2.contourArea(self.corners.astype(np.float32)))


@dataclass(frozen=True, eq=False)
class AnnotatedFrame:
    """A frame and its targets.

    Attributes:
        path: the image file.
        targets: in the order of the annotations; empty where the frame shows none.
        size: width and height, pixels, upright as the EXIF orientation says.
    """

    path: Path
    targets: tuple[AnnotatedTarget, ...]
    size: tuple[int, int]

    @property
    def largest(self) -> AnnotatedTarget | None:
        """The target of the largest area; None if there is none."""
        return max(self.targets, key=lambda target: target.area, default=None)

    def read(self) -> Image:
        """The image, uint8 [H, W, 3] BGR.

        Raises:
            DataError: if the file cannot be read.
        """
        try:
            image = read_image(self.path)
        except SourceError as error:
            raise DataError(f"an image is missing or damaged: {error}") from error
        return image if image.ndim == 3 else np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)


@dataclass(frozen=True, eq=False)
class Annotations:
    """What was read of a folder.

    Attributes:
        source: the folder, or the file.
        format: the name of its format.
        frames: the annotated frames, in the order of their annotations.
        count: how many frames are annotated, those included that a limit has thinned out.
        notes: what the reader mended, left out or took for granted, a phrase each.
        files: the files that these frames' annotations were read of.
    """

    source: Path
    format: str
    frames: tuple[AnnotatedFrame, ...] = field(repr=False)
    count: int
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = field(default=(), repr=False)

    @property
    def summary(self) -> str:
        """One line about them, notes included."""
        targets = sum(len(frame.targets) for frame in self.frames)
        empty = sum(not frame.targets for frame in self.frames)
        of_all = f"{len(self.frames)} of " if len(self.frames) < self.count else ""
        found = f"{of_all}{counted(self.count, 'frame')} with {counted(targets, 'target')}, {empty} without"
        return "; ".join((f"{self.source}: {self.format}, {found}", *self.notes))

    def largest_only(self) -> Annotations:
        """The same frames, each with the largest of its targets alone, and a note if there were more."""
        several = sum(len(frame.targets) > 1 for frame in self.frames)
        note = f"{counted(several, 'frame')} with several targets, of which the largest counts"
        frames = tuple(
            replace(frame, targets=() if frame.largest is None else (frame.largest,)) for frame in self.frames
        )
        return replace(self, frames=frames, notes=(*self.notes, note) if several else self.notes)


def counted(count: int, thing: str) -> str:
    """A number and what it counts: "1 frame", "2 frames"."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
