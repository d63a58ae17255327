"""Results as picture files."""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path, PurePath

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.overview import draw_overview
from stn_rectify.runtime.rectification import Rectification
from stn_rectify.runtime.sinks.result_sink import ResultSink, cannot_write
from stn_rectify.runtime.sources import CapturedFrame

__all__ = ["SaveSink"]

_JPEG_QUALITY = 90


class SaveSink(ResultSink):
    """Two pictures per frame, named after source and frame index.

    ``NAME.rectified.png`` is the rectified image, ``NAME.overview.jpg`` the frame with the target marked
    beside it (see `draw_overview`). A file appears under its name only when it is complete.

    Args:
        folder: made if it does not exist.

    Raises:
        StnRectifyError: the folder cannot be made.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        self._folder = Path(folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(str(folder), error) from error

    def write(self, frame: CapturedFrame, result: Rectification) -> None:
        """Writes both pictures.

        Raises:
            StnRectifyError: they cannot be written, for example because the disk is full.
        """
        name = f"{_file_stem(frame.source)}-{frame.index:06d}"
        self._save(f"{name}.rectified.png", result.image)
        overview = draw_overview(frame.image, result)
        self._save(f"{name}.overview.jpg", overview, cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY)

    def _save(self, name: str, image: npt.NDArray[np.uint8], *options: int) -> None:
        path, partial = self._folder / name, self._folder / f".{name}.partial"
        encoded = cv2.imencode(path.suffix, image, options)[1]
        try:
            try:
                partial.write_bytes(encoded.tobytes())
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(str(path), error) from error


def _file_stem(source: str) -> str:
    """The source's last part without suffix, in characters that every file system takes."""
    stem = re.sub(r"[^\w.-]+", "_", PurePath(source).stem)
    return stem.lstrip(".")[:80] or "frame"
