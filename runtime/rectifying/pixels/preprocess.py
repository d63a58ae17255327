"""From a frame to the network's input, and from the network's pixels back.

The order is chosen for a small ARM core: shrink first, then change colours and quantize what is left. The
frame is stretched to the input's shape, whatever its aspect: normalised coordinates make that right.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.checks import is_whole
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.model.metadata import InputSpec
from stn_rectify.runtime.rectifying.pixels.pyramid import FramePyramid, halved

_MAX_SIDE = 32766  # cv2.remap and what is built on it keep coordinates in 16 bits


#: More channels than this are not warped by OpenCV at once.
OPENCV_CHANNELS = 4


def by_channels(image: Image, function: Callable[[Image], Image]) -> Image:
    """Applies a function of OpenCV to an image [H, W, C] of any number of channels, a few at a time."""
    groups = range(0, image.shape[2], OPENCV_CHANNELS)
    parts = [function(np.ascontiguousarray(image[..., k : k + OPENCV_CHANNELS])) for k in groups]
    return np.concatenate([p if p.ndim == 3 else p[..., None] for p in parts], axis=2)


def resize_antialiased(image: Image, width: int, height: int, pyramid: FramePyramid | None = None) -> Image:
    """Resizes with cheap antialiasing: halves by INTER_AREA while it can, then samples bilinearly.

    INTER_AREA with a ratio that is no whole number costs about thirty times as much on ARM. Where a side
    cannot be halved evenly, its last row or column is left out of the averages; the geometry stays exact.

    Args:
        image: [H, W] or [H, W, C], uint8 or float32.
        width: of the result, pixels.
        height: of the result, pixels.
        pyramid: one that holds the image: its levels are taken instead of made.

    Returns:
        [height, width] or [height, width, C]; the image itself, or a level of the pyramid, where that has this size.
    """
    if image.ndim == 3 and image.shape[2] > OPENCV_CHANNELS:
        return by_channels(image, lambda part: resize_antialiased(part, width, height))
    scale_x, scale_y = image.shape[1] / width, image.shape[0] / height  # image pixels per pixel of the result
    is_cropped, number = False, 0
    while max(scale_x, scale_y) >= 2:
        step_x, step_y = 1 + (scale_x >= 2), 1 + (scale_y >= 2)
        is_cropped |= image.shape[1] % step_x > 0 or image.shape[0] % step_y > 0
        if pyramid is not None and step_x == step_y:
            number += 1
            image = pyramid.level(number)
        else:  # from here on, the sides differ
            pyramid, image = None, halved(image, step_x, step_y)
        scale_x, scale_y = scale_x / step_x, scale_y / step_y
    if is_cropped:
        matrix = np.array([[scale_x, 0, (scale_x - 1) / 2], [0, scale_y, (scale_y - 1) / 2]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = cv2.warpAffine(image, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return _like(warped, image)
    if image.shape[:2] == (height, width):
        return image
    return _like(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), image)


def _hint(frame: object) -> str:
    """What to do with what plainly is a source of frames."""
    if isinstance(frame, list | tuple):
        return "; several images go to Rectifier.stream"
    return "; a camera's number goes to Rectifier.stream" if is_whole(frame) else ""


def check_frame(frame: object, spec: InputSpec) -> Image:
    """Checks that a frame is one that the model takes; returns it, a single channel as [H, W].

    Args:
        frame: BGR uint8 [H, W, 3] or grey [H, W]; for models of colour OTHER [H, W, C] with the model's own
            channels.
        spec: the model's input.

    Raises:
        DataError: if it is not; the message says what to do.
    """
    if frame is None:
        raise DataError("the frame is None, as cv2.imread gives it of what it cannot read: check the path")
    if not isinstance(frame, np.ndarray):
        raise DataError(
            f"the frame is {type(frame).__name__}, not a NumPy array: pass BGR uint8 [H, W, 3], a path, bytes or a "
            f"Pillow image{_hint(frame)}"
        )
    if frame.dtype != np.uint8:
        raise DataError(f"the frame's dtype is {frame.dtype}: pass uint8, 0 to 255")
    if frame.ndim not in (2, 3):
        raise DataError(f"the frame has shape {frame.shape}: pass one frame, [H, W, 3] or [H, W]")
    if not frame.size or max(frame.shape[:2]) > _MAX_SIDE:
        raise DataError(f"the frame has shape {frame.shape}: each side must have 1 to {_MAX_SIDE} pixels")
    channels = 1 if frame.ndim == 2 else frame.shape[2]
    if spec.colour == "OTHER":
        if channels != spec.channels:
            raise DataError(f"the frame has {channels} channels: this model takes {spec.channels} channels of its own")
    elif channels == 4:
        raise DataError("the frame has 4 channels: drop alpha with cv2.cvtColor(frame, cv2.COLOR_BGRA2BGR)")
    elif channels not in (1, 3):
        raise DataError(f"the frame has {channels} channels: pass BGR [H, W, 3] or grey [H, W]")
    return frame[..., 0] if frame.ndim == 3 and channels == 1 else frame


def pixel_levels(value_range: tuple[float, float], scale: float, zero_point: int) -> npt.NDArray[np.int8]:
    """The network's int8 input for each pixel value, [256].

    Args:
        value_range: what pixel values 0 and 255 are to the network.
        scale: of the input's quantization.
        zero_point: of it.
    """
    low, high = value_range
    levels = (low + (high - low) * np.arange(256) / 255) / scale + zero_point
    # A range such as [-1, 1] has a tie at every level. All go the same way, inwards, whatever float64 makes of them:
    # rounding to even would let neighbours fall together.
    inwards = 1e-6 if levels[0] + levels[-1] < -1 else -1e-6
    return np.asarray(np.clip(np.floor(levels + 0.5 + inwards), -128, 127), np.int8)


class Preprocessor:
    """Turns frames into the int8 input of one network, and its int8 pixels back into uint8.

    Args:
        spec: the network's input.
    """

    def __init__(self, spec: InputSpec) -> None:
        self._spec = spec
        self._table = pixel_levels(spec.value_range, spec.scale, spec.zero_point)
        pixels = np.rint(np.interp(np.arange(-128, 128), self._table, np.arange(256))).astype(np.uint8)
        self._inverse = np.roll(pixels, 128)  # index: the int8 level seen as uint8
        direct = np.arange(256, dtype=np.uint8) ^ 128
        #: The pixel value that is zero to the network: what lies outside the frame with padding "zeros".
        self.zero_pixel = int(self._inverse[spec.zero_point & 0xFF])
        self._is_direct = bool((self._table == direct.view(np.int8)).all() and (self._inverse == direct).all())

    def network_input(self, frame: Image, pyramid: FramePyramid | None = None) -> npt.NDArray[np.int8]:
        """The network's input [1, H, W, C] for a frame that `check_frame` has passed, and that ``pyramid`` may hold."""
        spec = self._spec
        small = resize_antialiased(frame, spec.width, spec.height, pyramid)
        if spec.colour == "RGB":
            small = _colour(small, cv2.COLOR_GRAY2RGB if small.ndim == 2 else cv2.COLOR_BGR2RGB)
        elif spec.colour == "BGR" and small.ndim == 2:
            small = _colour(small, cv2.COLOR_GRAY2BGR)
        elif spec.colour == "GREY" and small.ndim == 3:
            small = _colour(small, cv2.COLOR_BGR2GRAY)
        levels = (small ^ 128).view(np.int8) if self._is_direct else self._table[small]
        return levels.reshape(1, spec.height, spec.width, spec.channels)

    def pixels(self, image: npt.NDArray[np.int8]) -> Image:
        """The network's rectified image [h, w, C], as BGR uint8 [h, w, 3]; grey as [h, w]."""
        stored = image.view(np.uint8)
        pixels = np.asarray(stored ^ 128 if self._is_direct else self._inverse[stored], np.uint8)
        if self._spec.colour == "RGB":
            return _colour(pixels, cv2.COLOR_RGB2BGR)
        return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def _colour(image: Image, conversion: int) -> Image:
    return np.asarray(cv2.cvtColor(image, conversion), np.uint8)


def _like(resized: object, image: Image) -> Image:
    """OpenCV drops an axis of one channel: puts it back where the image had it."""
    array = np.asarray(resized)
    return array[..., None] if array.ndim < image.ndim else array
