"""What is drawn into pictures: targets and words; and parts of a sheet, put beside and below each other."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from stn_rectify.runtime.arrays import Array, Image
from stn_rectify.runtime.files import partial_file
from stn_rectify.runtime.geometry import (
    corners_to_homography,
    homography_to_theta,
    is_valid_quadrilateral,
    pixel_homography,
)

Colour = tuple[int, int, int]

#: Colours of what the float model, the INT8 file and the truth say, BGR.
FLOAT, INT8, TRUTH = (58, 158, 10), (32, 32, 224), (255, 119, 34)
#: Colours of what counts as found, and of what does not, BGR.
FOUND, MISSED = (80, 220, 60), (60, 60, 230)
_PAPER, _INK, _FAINT, _PANEL = (255, 255, 255), (36, 31, 27), (112, 101, 91), (238, 241, 243)
_GAP_PX = 8
_SUBPIXEL_BITS = 4
_DRAWABLE = 16000.0  # OpenCV draws with 16-bit coordinates, corners may lie anywhere
_LEGIBLE_PX = 64  # smaller pictures get no words
_SMALLEST_LETTERS_PX = 11
_LETTERS_SHARE = 1 / 36  # of a picture's shorter side
_RIM = (0, 0, 0)
_HERSHEY_PX = 30.0  # of a line of OpenCV's typeface at scale 1
# OpenCV's and Pillow's own typefaces have ASCII's letters; these are looked for where a line has others.
_TYPEFACES = (
    "NotoSansCJK-Regular.ttc", "NotoSans-Regular.ttf", "DejaVuSans.ttf", "wqy-microhei.ttc", "DroidSansFallbackFull.ttf"
)  # fmt: skip


def marked(picture: Image, corners: Array, caption: str = "", *, is_found: bool) -> Image:
    """A copy of a picture with a target marked in it; see `mark`.

    Args:
        picture: uint8 [H, W, 3] BGR, [H, W] grey, or [H, W, C] of other channels, of which `visible` ones are shown.
        corners: of the target, [4, 2], pixels; anywhere.
        caption: stands beside it.
        is_found: whether it is drawn as found, or as missed.

    Returns:
        uint8 [H, W, 3] BGR.
    """
    view = bgr(picture).copy()
    mark(view, corners, caption, is_found=is_found)
    return view


def mark(picture: Image, corners: Array, caption: str = "", *, is_found: bool) -> None:
    """Draws a target into a picture [H, W, 3]: its outline, a dot at the top-left corner, a caption above or below."""
    thickness = max(1, round(max(picture.shape[:2]) / 320))
    colour = FOUND if is_found else MISSED
    points = np.clip(np.rint(corners), -_DRAWABLE, _DRAWABLE).astype(np.int32)
    cv2.polylines(picture, [points], isClosed=True, color=colour, thickness=thickness, lineType=cv2.LINE_AA)
    cv2.circle(picture, (int(points[0, 0]), int(points[0, 1])), 3 * thickness, colour, cv2.FILLED, cv2.LINE_AA)
    if caption:
        gap, height = 4 * thickness, round(1.3 * letters_px(picture))
        top, bottom = int(points[:, 1].min()) - gap - height, int(points[:, 1].max()) + gap
        fits_above, fits_below = top >= 0, bottom + height <= picture.shape[0]
        letter(picture, caption, (int(points[:, 0].min()), top if fits_above or not fits_below else bottom), colour)


def letters_px(picture: Image) -> int:
    """The size of letters in a picture, pixels."""
    return max(_SMALLEST_LETTERS_PX, round(min(picture.shape[:2]) * _LETTERS_SHARE))


def letter(picture: Image, line: str, place: tuple[int, int], colour: Colour) -> None:
    """Writes a line into a picture [H, W, 3] with a dark rim; it is moved, and in the end cut, to lie within.

    Args:
        picture: is changed; one of fewer than 64 pixels along a side stays as it is.
        line: in whatever script; letters that no typeface of this machine has are written as the nearest ones of ASCII,
            or left out.
        place: its left and upper edge, pixels.
        colour: of the letters, BGR.
    """
    if min(picture.shape[:2]) < _LEGIBLE_PX:
        return
    size, (height, width) = letters_px(picture), picture.shape[:2]
    font = None if line.isascii() else _typeface(size)
    if font is None:
        line = unicodedata.normalize("NFKD", line).encode("ascii", "ignore").decode()
    rim, scale = max(1, round(size / 9)), size / _HERSHEY_PX

    def length(text: str) -> float:
        if font is not None:
            return font.getlength(text)
        return float(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0])

    line = _cut(line, length, width - 4 * rim)
    needed = (int(np.ceil(length(line))) + 4 * rim, round(1.3 * size) + 2 * rim)
    left, top = (min(max(0, place[k]), max(0, (width, height)[k] - needed[k])) for k in range(2))
    if font is None:  # a third of the time, and enough on most days
        origin = (left + 2 * rim, top + rim + size)
        for ink, thickness in ((_RIM, 2 * rim + 1), (colour, 1)):
            cv2.putText(picture, line, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, thickness, cv2.LINE_AA)
        return
    part = picture[top : top + needed[1], left : left + needed[0]]
    paper = Pillow.fromarray(np.ascontiguousarray(part))  # its colours are exchanged, and so are the letters'
    ImageDraw.Draw(paper).text((2 * rim, rim), line, fill=colour, font=font, stroke_width=rim, stroke_fill=_RIM)
    part[:] = np.asarray(paper)


def _cut(line: str, length: Callable[[str], float], width: float) -> str:
    """The line, or as much of its beginning as fits, with dots."""
    if length(line) <= width:
        return line
    while line and length(f"{line}...") > width:
        line = line[:-1]
    return f"{line}..."


@lru_cache(maxsize=16)
def _typeface(size: int) -> ImageFont.FreeTypeFont | None:
    """A typeface of many scripts; None where the machine has none."""
    for name in _TYPEFACES:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return None


@lru_cache(maxsize=16)
def _plain_typeface(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Pillow's own, which has ASCII's letters."""
    return ImageFont.load_default(size=size)


def visible(picture: Image) -> Image:
    """What people see of a picture of whatever channels: the first three, or of one and two the first.

    Args:
        picture: uint8 [H, W] or [H, W, C].

    Returns:
        uint8 [H, W, 3] BGR or [H, W] grey; ``picture`` itself where it is that.
    """
    if picture.ndim == 2 or picture.shape[2] == 3:
        return picture
    return np.ascontiguousarray(picture[..., :3] if picture.shape[2] > 3 else picture[..., 0])


def bgr(picture: Image) -> Image:
    """The picture as it is seen (`visible`), in colours, [H, W, 3]; a copy of a grey one."""
    seen = visible(picture)
    return np.asarray(cv2.cvtColor(seen, cv2.COLOR_GRAY2BGR), np.uint8) if seen.ndim == 2 else seen


def text(line: str, width: int | None = None, *, size: int = 13, colour: Colour = _INK) -> Image:
    """A line of text; with ``width`` cut to it, and filled up to it with white."""
    font = _plain_typeface(size)
    line = line if width is None else _cut(line, font.getlength, width)
    needed = int(np.ceil(font.getlength(line))) + 1
    paper = Pillow.new("RGB", (width or needed, round(1.5 * size)), _PAPER)
    ImageDraw.Draw(paper).text((0, round(0.15 * size)), line, fill=colour[::-1], font=font)
    return np.ascontiguousarray(np.asarray(paper, np.uint8)[..., ::-1])


def captioned(image: Image, *lines: str, size: int = 12) -> Image:
    """The picture with lines of text below it, no wider than it."""
    return np.vstack([image, *(text(line, image.shape[1], size=size, colour=_FAINT) for line in lines)])


def beside(images: Sequence[Image], gap: int = _GAP_PX) -> Image:
    """Pictures from left to right on white, their upper edges in line."""
    height = max(image.shape[0] for image in images)
    padded = [_padded(image, height - image.shape[0], gap if k else 0) for k, image in enumerate(images)]
    return np.hstack(padded)


def below(images: Sequence[Image], gap: int = _GAP_PX) -> Image:
    """Pictures from top to bottom on white, their left edges in line."""
    return np.ascontiguousarray(beside([image.transpose(1, 0, 2) for image in images], gap).transpose(1, 0, 2))


def _padded(image: Image, bottom: int, left: int) -> Image:
    return np.asarray(cv2.copyMakeBorder(image, 0, bottom, left, 0, cv2.BORDER_CONSTANT, value=_PAPER), np.uint8)


def fitted(image: Image, width: int, height: int) -> Image:
    """The whole picture as large as it goes into width × height pixels, in the middle of light grey."""
    scale = min(width / image.shape[1], height / image.shape[0])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    # Small pictures are enlarged with their pixels in sight.
    scaled = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    cell = np.full((height, width, 3), _PANEL, np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    cell[top : top + size[1], left : left + size[0]] = scaled
    return cell


def warped(frame: Image, matrix: Array, size: tuple[int, int]) -> Image:
    """Samples a frame: ``matrix`` [3, 3] maps pixels of the result, ``size`` wide and high, to pixels of the frame."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpPerspective(frame, matrix, size, flags=flags, borderValue=_PANEL), np.uint8)


def rectified(frame: Image, corners: Array, size: tuple[int, int]) -> Image:
    """The target at ``size``, width and height; grey where the corners [4, 2] are no quadrilateral."""
    if not is_valid_quadrilateral(corners, min_area_px=1.0):
        return np.full((size[1], size[0], 3), 128, np.uint8)
    theta = homography_to_theta(corners_to_homography(corners, frame.shape[1], frame.shape[0]))
    return warped(frame, pixel_homography(theta, (frame.shape[1], frame.shape[0]), size), size)


def outlined(
    frame: Image,
    outlines: Sequence[tuple[Array, Colour]],
    width: int,
    height: int,
    margin: float = 0.04,
    behind: Sequence[tuple[Array, Colour]] = (),
) -> Image:
    """A frame with polygons, fitted into width × height pixels.

    Args:
        frame: the picture.
        outlines: points [P, 2], pixels of the frame, the centre of the first at (0, 0); and a colour.
        width: of the result.
        height: of the result.
        margin: light grey around the frame, a share of its size, for outlines that leave it.
        behind: further ones, thin, below the others.
    """
    rim = [round(margin * n) for n in frame.shape[1::-1]]
    on_paper = cv2.copyMakeBorder(frame, rim[1], rim[1], rim[0], rim[0], cv2.BORDER_CONSTANT, value=_PANEL)
    scale = min(width / on_paper.shape[1], height / on_paper.shape[0])
    cell = fitted(np.asarray(on_paper, np.uint8), width, height)
    offset = [(width - round(on_paper.shape[1] * scale)) // 2, (height - round(on_paper.shape[0] * scale)) // 2]
    polygons = []
    for points, _ in (*outlines, *behind):
        on_cell = (np.asarray(points) + 0.5 + rim) * scale - 0.5 + offset
        polygons.append(np.round(np.clip(np.nan_to_num(on_cell), -8192, 8192) * 2**_SUBPIXEL_BITS).astype(np.int32))
    # Broad ones first, on white: of outlines that coincide all can be seen. Those of one colour are of one width.
    colours = list(dict.fromkeys(colour for _, colour in outlines))
    widths = [len(colours) - colours.index(colour) for _, colour in outlines]
    strokes = [(polygons[len(outlines) + k], colour, 1) for k, (_, colour) in enumerate(behind)]
    strokes += [(polygons[k], _PAPER, width + 2) for k, width in enumerate(widths)]
    strokes += [(polygons[k], outlines[k][1], width) for k, width in enumerate(widths)]
    for polygon, colour, thickness in strokes:
        cv2.polylines(cell, [polygon], True, colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
    return cell


def write_png(file: Path, image: Image) -> None:
    """Writes a picture with a white rim.

    Raises:
        DataError: if the file cannot be written.
    """
    rimmed = cv2.copyMakeBorder(image, 14, 14, 14, 14, cv2.BORDER_CONSTANT, value=_PAPER)
    with partial_file(file) as partial:
        # Not by imwrite: OpenCV crashes on a path that is not UTF-8.
        partial.write_bytes(cv2.imencode(".png", rimmed)[1].tobytes())
