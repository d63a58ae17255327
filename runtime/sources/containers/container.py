"""What a video file's container says, whatever its kind."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Container:
    """What a file's headers say.

    Attributes:
        is_cut: whether the file ends before its headers say it does; None if they do not tell.
        stores_length: whether the time that it lasts is written in it. Where it is not, FFmpeg takes what there is
            for all.
        is_mirrored: whether its pictures are to be shown mirrored, beside the quarter turns that OpenCV makes.
    """

    is_cut: bool | None = None
    stores_length: bool = True
    is_mirrored: bool = False
