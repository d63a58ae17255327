"""Annotated frames among the synthesised ones of a training."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stn_rectify.runtime.annotations import AnnotatedFrame, read_annotations
from stn_rectify.runtime.errors import DataError


@dataclass(frozen=True)
class RealFrames:
    """Annotated frames, and where they stand among the items of a pool.

    Attributes:
        frames: the frames, at least one; if there are fewer than places, they come again and again.
        share: of the items, above 0; 1 for all of them.
    """

    frames: tuple[AnnotatedFrame, ...] = field(repr=False)
    share: float

    def at(self, index: int) -> AnnotatedFrame | None:
        """The frame of an item of the pool, numbered from 0; None where a synthesised one stands."""
        place = int(index * self.share)
        return self.frames[place % len(self.frames)] if int((index + 1) * self.share) > place else None

    @property
    def sha256(self) -> str:
        """Over their files' names and sizes, and their annotations: a stopped training goes on with the same ones."""
        digest = hashlib.sha256()
        for frame in self.frames:
            about = [str(frame.path.resolve()), frame.path.stat().st_size]
            about += [(target.corners.tolist(), target.label) for target in frame.targets]
            digest.update(repr(about).encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


def read_real_frames(sources: Sequence[Path], share: float, count: int) -> RealFrames | None:
    """Reads annotated frames to train on; prints a line about each source.

    Args:
        sources: folders, see `stn_rectify.runtime.annotations.read_annotations`.
        share: of the items of a pool.
        count: items of the pool; more frames than have a place among them are thinned out evenly.

    Returns:
        The frames; None without a source.

    Raises:
        DataError: if annotations cannot be read, or no frame shows a target.
    """
    frames: list[AnnotatedFrame] = []
    for source in sources:
        read = read_annotations(source)
        print(read.summary, flush=True)
        frames += read.frames
    if not sources:
        return None
    if not any(frame.targets for frame in frames):
        raise DataError(f"{sources[0]}: no annotated frame shows a target, so there is nothing to learn from them")
    places = max(1, int(count * share))
    if len(frames) > places:
        print(f"{places} of {len(frames)} annotated frames have a place among the samples: more --samples take more")
        frames = [frames[k] for k in np.linspace(0, len(frames) - 1, places).astype(int)]
    return RealFrames(tuple(frames), share)
