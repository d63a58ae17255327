"""The kind of source that a name stands for, so that one that was given to the wrong option is told the right one."""

from __future__ import annotations

import glob
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image, UnidentifiedImageError

from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.files import open_file
from stn_rectify.runtime.images.kinds import VIDEO_SUFFIXES, called_image, is_boxed_image
from stn_rectify.runtime.images.library_messages import library_messages
from stn_rectify.runtime.images.reading import PILLOW_LIMIT
from stn_rectify.runtime.sources.addresses import is_url, local_file, without_secrets
from stn_rectify.runtime.sources.containers import Container, read_container

_CAMERA_NAME = re.compile(r"auto|picamera2(:\d+)?|\d+")
_CAMERA_DEVICE = re.compile(r"/dev/(video|v4l|media)")
_NUMBERED = re.compile(r"%0?\d*d")  # as FFmpeg writes the names of images that follow one another
#: What Pillow takes for an image, and is a video.
_VIDEO_FORMATS = frozenset({"MPEG"})
_ANIMATIONS = frozenset({".apng", ".flc", ".fli", ".gif"})  # which may be taken for either


@dataclass(frozen=True)
class Kind:
    """What a name stands for.

    Attributes:
        option: that takes it, without the dashes.
        words: what it is, for a message.
        value: what to write behind the option instead, if not the name.
    """

    option: str
    words: str
    value: str | None = None


def kind_of(name: str) -> Kind | None:
    """The kind of source that a name stands for; None if that cannot be told. Only regular files are opened."""
    name = local_file(name)
    if is_url(name):
        return Kind("video", "an address")
    if name == "-":
        return Kind("image", "standard input, through which images come")
    try:
        mode = os.stat(name).st_mode
    except (OSError, ValueError):
        return _kind_of_missing(name)
    if _CAMERA_DEVICE.match(name) or _is_video_device(name, mode):
        return Kind("camera", "a camera's device")
    if stat.S_ISDIR(mode):
        return Kind("image", "a folder")
    return _kind_of_file(name) if stat.S_ISREG(mode) else None


def check_kind(option: str, name: str) -> None:
    """Checks that a source is given to the option that takes it.

    Args:
        option: ``"image"``, ``"video"`` or ``"camera"``.
        name: its value.

    Raises:
        UsageError: if another option takes it; the message says which.
    """
    if option == "camera" and _CAMERA_NAME.fullmatch(name):  # whatever file or folder has that name, too
        return
    kind = kind_of(name)
    if kind is None or (kind.option == option and kind.value is None):
        return
    shown = without_secrets(name)
    use = f"--{kind.option}" if kind.option == "demo" else f"--{kind.option} {kind.value or shown}"
    also = ", or name one video in it" if kind.words == "a folder" and option == "video" else ""
    instead = f", not --{option}" if kind.option != option else ""
    raise UsageError(f"{shown} is {kind.words}: use {use}{also}{instead}")


def option_for(name: str) -> str:
    """The option that takes a source by its name, where nothing but the name was given.

    Args:
        name: a file, folder, glob, address, number or device of a camera, ``"-"``, ``"demo"``.

    Returns:
        ``"image"``, ``"video"``, ``"camera"`` or ``"demo"``. An animation is taken for images, a file that is no image
        as far as its beginning tells for a video.

    Raises:
        UsageError: if there is no such thing, and the name neither tells a kind nor is a path.
    """
    kind = kind_of(name)
    if kind is not None:
        if kind.value is not None:
            raise UsageError(f"{without_secrets(name)} is {kind.words}: write {kind.value}")
        return kind.option
    local = local_file(name)
    if glob.has_magic(local) and not os.path.lexists(local):
        return "image"
    if not os.path.lexists(local):
        if os.sep in local and ":" not in local:  # no word, address or command, but a path: of what is not there
            return "image"
        raise UsageError(
            f"{name!r} is nothing to rectify: there is no such file or folder, and it is no address, pattern or camera"
        )
    # What is called an image and is none is named as such when it is read.
    is_image = called_image(Path(local).suffix.lower()) or _content_of(local) == "animation"
    return "image" if is_image else "video"


def _kind_of_missing(name: str) -> Kind | None:
    """Of a name that no file has: as it is written."""
    suffix = Path(name).suffix.lower()
    if _CAMERA_NAME.fullmatch(name):
        return Kind("camera", "the name of a camera")
    if _CAMERA_DEVICE.match(name):
        return Kind("camera", "a camera's device")
    if name == "demo":
        return Kind("demo", "the sample")
    if name.endswith(os.sep):
        return Kind("image", "a folder")
    if called_image(suffix) and _NUMBERED.search(name):
        pattern = _NUMBERED.sub("*", name)
        return Kind("image", "a pattern of images", f"'{pattern}'")
    if called_image(suffix) and suffix not in _ANIMATIONS:
        return Kind("image", "a pattern of images" if glob.has_magic(name) else "the name of an image")
    return Kind("video", "the name of a video") if suffix in VIDEO_SUFFIXES and not glob.has_magic(name) else None


def _is_video_device(name: str, mode: int) -> bool:
    """Follows links, as udev and people make them."""
    return stat.S_ISCHR(mode) and _CAMERA_DEVICE.match(os.path.realpath(name)) is not None


def _kind_of_file(name: str) -> Kind | None:
    """By what is in it; an animation, such as a GIF, may be taken for either."""
    content = _content_of(name)
    return Kind(content, f"{'an' if content == 'image' else 'a'} {content}") if content in ("image", "video") else None


def _content_of(name: str) -> Literal["image", "animation", "video"] | None:
    """What a file begins as; None where that cannot be told, or it cannot be read: whoever reads it will say so."""
    try:
        with open_file(name) as file, library_messages(), PILLOW_LIMIT.lifted():  # whoever reads it says them
            if is_boxed_image(file.read(12)):
                return "image"
            file.seek(0)
            image = Image.open(file)  # no pixel is made
            if image.format not in _VIDEO_FORMATS:
                return "animation" if getattr(image, "is_animated", False) else "image"
    except UnidentifiedImageError:
        pass
    except Exception:  # of damaged files Pillow raises OSError, ValueError, IndexError, struct.error and more
        return None
    is_video = read_container(name) != Container() or Path(name).suffix.lower() in VIDEO_SUFFIXES
    return "video" if is_video else None
