"""Images that OpenCV reads and Pillow does not: deep colours, and a few kinds that are made by tools."""

from __future__ import annotations

import re
from itertools import islice

import cv2
import numpy as np

from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.images.library_messages import quiet_opencv
from stn_rectify.runtime.images.tiff_layout import IMAGE_LENGTH, IMAGE_WIDTH, ORIENTATION, TIFF_STARTS, TiffLayout

_STARTS = (*TIFF_STARTS, b"\x89PNG\r\n\x1a\n", b"P7\n", b"PF", b"Pf", b"#?RADIANCE", b"#?RGBE")
LONGEST_START = max(map(len, _STARTS))
_HEADER_BYTES = 1 << 12
_PFM_SIZE = re.compile(rb"P[fF]\s+(\d+)\s+(\d+)\s")
_PAM_START, _PAM_END = b"P7\n", b"\nENDHDR\n"
_PAM_VALUES = re.compile(rb"^(WIDTH|HEIGHT|DEPTH|MAXVAL)\s+(\d+)\s*$", re.MULTILINE)
_RADIANCE_SIZE = re.compile(rb"^[-+]Y (\d+) [-+]X (\d+)$", re.MULTILINE)
#: How an array is turned upright for each EXIF orientation: transposed, then flipped up and down, left and right.
_TURNS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def knows(content: bytes) -> bool:
    """Tells whether encoded bytes begin as one of these kinds."""
    return content.startswith(_STARTS)


def size(content: bytes) -> tuple[int, int]:
    """Width and height as they are stored.

    Raises:
        ValueError: if they are not written there.
    """
    header = content[:_HEADER_BYTES]
    if content.startswith(TIFF_STARTS):
        layout = _layout(content)
        for page in islice(layout.pages(), 1):
            widths, heights = layout.values(page, IMAGE_WIDTH), layout.values(page, IMAGE_LENGTH)
            if widths and heights:
                return widths[0], heights[0]
    elif (radiance := _RADIANCE_SIZE.search(header)) is not None:
        return int(radiance[2]), int(radiance[1])
    elif (match := _PFM_SIZE.match(header)) is not None:
        return int(match[1]), int(match[2])
    elif content.startswith(_PAM_START):
        width, height, _, _ = _pam_values(content)
        if width and height:
            return width, height
    raise ValueError("its width and height cannot be found: it is damaged or cut off, so get it anew")


def read_turned(content: bytes, number: int, orientation: int | None) -> Array:
    """Decodes an image without loss of depth.

    Args:
        content: the encoded image.
        number: which page of a TIFF, from 0.
        orientation: of EXIF, 1 to 8; None looks for it.

    Returns:
        [H, W], [H, W, 3] BGR or [H, W, 4] BGRA; uint8, uint16, integers or floats.

    Raises:
        ValueError: if it is damaged, or of a kind that OpenCV does not know.
    """
    if content.startswith(TIFF_STARTS):
        content, found = _one_page(content, number)
        orientation = orientation or found
    if content.startswith(_PAM_START):
        return _pam(content)
    with quiet_opencv():
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError("it is damaged or cut off, so get it anew, or of a kind that neither Pillow nor OpenCV knows")
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    transposed, up_down, left_right = _TURNS.get(orientation or 1, _TURNS[1])
    turned = image.swapaxes(0, 1) if transposed else image
    return np.ascontiguousarray(turned[:: -1 if up_down else 1, :: -1 if left_right else 1])


def _pam(content: bytes) -> Array:
    """A PAM image; versions of OpenCV differ in the order of its colours.

    Raises:
        ValueError: if it is damaged.
    """
    start = content.find(_PAM_END) + len(_PAM_END)
    width, height, depth, greatest = _pam_values(content)
    samples = np.frombuffer(content, ">u2" if greatest > 255 else np.uint8, height * width * depth, start)
    image = samples.reshape(height, width, depth)
    if greatest not in (255, 65535):
        image = (image.astype(np.uint32) * 255 // max(1, greatest)).astype(np.uint8)
    if depth == 2:
        return np.ascontiguousarray(image[..., (0, 0, 0, 1)])
    return np.ascontiguousarray(image[..., 0] if depth == 1 else image[..., (2, 1, 0, 3)[:depth]])


def _pam_values(content: bytes) -> tuple[int, ...]:
    """Width, height, depth and greatest value of a PAM image, 0 where its header has none."""
    header = content[: max(0, content.find(_PAM_END) + 1)]
    values = {name: int(number) for name, number in _PAM_VALUES.findall(header)}
    return tuple(values.get(name, 0) for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))


def _one_page(content: bytes, number: int) -> tuple[bytes, int]:
    """A TIFF whose first page is this one, upright by itself, since versions of OpenCV differ; and its orientation."""
    layout = _layout(content)
    page = next(islice(layout.pages(), number, None), None)
    if page is None:
        raise ValueError("a page is missing: it is damaged or cut off, so get it anew")
    changed = bytearray(content)
    place, count = layout.first_place
    changed[place : place + count] = layout.bytes_of(page.start, count)
    orientation, entry = layout.values(page, ORIENTATION), page.entries.get(ORIENTATION)
    if entry is not None and orientation:
        changed[entry.start : entry.end] = layout.bytes_of(1, entry.end - entry.start)
    return bytes(changed), orientation[0] if orientation else 1


def _layout(content: bytes) -> TiffLayout:
    return TiffLayout(lambda start, count: content[start : start + count])
