"""Image files as frames."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, cast

from stn_rectify.runtime.checks import check_path, check_whole
from stn_rectify.runtime.errors import SourceError, UsageError, shown
from stn_rectify.runtime.images.finding import all_image_files
from stn_rectify.runtime.images.reading import MAX_PIXELS, read_pages
from stn_rectify.runtime.images.stream import split_images
from stn_rectify.runtime.process.standard_streams import is_stdin_open
from stn_rectify.runtime.sources.source import CapturedFrame, FrameSource


class ImageSource(FrameSource):
    """Images, in the order given; those of a folder or a glob sorted by name.

    Each page of a TIFF and each frame of an animation is a frame. What is left out or taken for granted (other files of
    a folder, its subfolders, the depth of a picture that does not tell) is said by a
    `stn_rectify.runtime.StnRectifyWarning`.

    Args:
        paths: files, folders (their images, not those of subfolders) and globs such as ``"scans/**/*.png"``; or ``"-"``
            for standard input: images one after the other, each handed over as soon as it has come.
        on_error: called with the error of an image that cannot be read, which is then left out. None raises
            it.
        max_pixels: width times height of an image, at most. JPEG and JPEG 2000 with more are read at a half, a quarter
            or an eighth of their sides, with a warning; others are errors.

    Raises:
        SourceError: if a path does not exist, or there is no image in it.
    """

    frames_follow = False

    def __init__(
        self,
        paths: str | PathLike[str] | Sequence[str | PathLike[str]],
        *,
        on_error: Callable[[SourceError], None] | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        super().__init__()
        is_several = isinstance(paths, Iterable) and not isinstance(paths, str | bytes | PathLike)
        names = [check_path("paths", path) for path in (cast(Iterable[Any], paths) if is_several else [paths])]
        max_pixels = check_whole("max_pixels", max_pixels, 1)
        if on_error is not None and not callable(on_error):
            raise UsageError(f"on_error is {shown(on_error)}: must be a function that takes an error, or None")
        if not names:
            raise SourceError("no images given: name files, folders or globs")
        self._is_piped = "-" in names
        if self._is_piped and len(names) > 1:
            raise SourceError("- is standard input, which goes with no other images: name it alone")
        if self._is_piped and not is_stdin_open():
            raise SourceError("standard input is closed: send an image through a pipe, or name a file")
        if self._is_piped and sys.stdin.isatty():
            raise SourceError("standard input is a terminal: send an image through a pipe, or name a file")
        self._files = [] if self._is_piped else all_image_files(names)
        self._on_error, self._max_pixels = on_error, max_pixels
        self.not_begun = len(self._files)
        more = len(self._files) - 1
        first = "standard input" if self._is_piped else str(self._files[0])
        self.description = f"images: {first}" + (f" and {more} more" if more > 0 else "")

    def __iter__(self) -> Iterator[CapturedFrame]:
        index = -1
        for index, page in enumerate(self._pages()):
            if isinstance(page, CapturedFrame):
                yield replace(page, index=index)
            elif self._on_error is None:
                raise page
            else:
                self._on_error(page)
        if index < 0 and not self._stopping:
            raise SourceError("standard input is empty: send an image through a pipe")

    def _pages(self) -> Iterator[CapturedFrame | SourceError]:
        """The pages of all images, not numbered yet, and the errors of those that cannot be read."""
        for name, file in self._encoded():
            is_begun = False
            try:
                for page in read_pages(file, name, max_pixels=self._max_pixels):
                    if self._stopping:
                        return
                    if not is_begun:
                        is_begun, self.not_begun = True, max(self.not_begun - 1, 0)
                    if isinstance(page.image, SourceError):
                        yield page.image
                    else:
                        yield CapturedFrame(name, 0, time.time(), page.image, page=page.number, is_still=True)
            except SourceError as error:
                if not is_begun:
                    self.not_begun = max(self.not_begun - 1, 0)
                yield error

    def _encoded(self) -> Iterator[tuple[str, Path | io.BytesIO]]:
        """Names and encoded images."""
        if self._is_piped:
            pieces = split_images(sys.stdin.fileno(), lambda: self._stopping)
            return (("stdin", io.BytesIO(piece)) for piece in pieces)
        return ((str(path), path) for path in self._files)
