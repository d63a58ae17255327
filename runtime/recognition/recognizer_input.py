"""From an image to the input tensor of a recognizer, whatever numbers it was made to take."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.metadata import InputSpec
from stn_rectify.runtime.preprocess import Preprocessor, check_frame
from stn_rectify.runtime.recognition.recognizer_file import RecognizerFile

__all__ = ["RecognizerInput"]

#: What pixel values 0 and 255 can be to a network that does not say so.
_USUAL_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))


class RecognizerInput:
    """Makes the input tensor of one recognizer.

    An integer input is quantized as its calibration left it, which may have seen no white: then its highest level is
    less than the pixel value 255. Where the file does not say what pixel values 0 and 255 are to the network, they are
    0 and 1, -1 and 1 or 0 and 255: what the quantization lies in, shares an end with and covers half of. If it does
    none of that, pixel values 0 to 255 are its levels from end to end. To a float input they are 0 to 1.

    Args:
        file: the recognizer's.
        scale: of the input tensor; 0 if it is not quantized.
        zero_point: of it.
    """

    def __init__(self, file: RecognizerFile, scale: float, zero_point: int) -> None:
        _, height, width, channels = file.image.shape
        self._dtype = file.image.dtype
        self._range = file.value_range or _USUAL_RANGES[0]
        levels = ((0.0, 1.0), 1 / 255, -128)  # pixel values less 128
        if self._dtype != "FLOAT32" and scale > 0:
            zero_point -= 128 if self._dtype == "UINT8" else 0  # of int8 levels; `__call__` takes it back
            levels = (file.value_range or _value_range(scale, zero_point), scale, zero_point)
        self.spec = InputSpec(height, width, channels, "RGB" if channels == 3 else "GREY", *levels)
        self._preprocessor = Preprocessor(self.spec)

    def __call__(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.generic]:
        """The tensor [1, h, w, C] of an image, BGR uint8 [H, W, 3] or grey [H, W].

        Raises:
            DataError: the image has the wrong type, dtype or shape.
        """
        levels = self._preprocessor.network_input(check_frame(image, self.spec))
        if self._dtype == "INT8":
            return levels
        unsigned = levels.view(np.uint8) ^ 128
        if self._dtype == "UINT8":
            return unsigned
        low, high = self._range
        return unsigned.astype(np.float32) * np.float32((high - low) / 255) + np.float32(low)


def _value_range(scale: float, zero_point: int) -> tuple[float, float]:
    """What pixel values 0 and 255 are to a network, seen from the quantization of its int8 input."""
    first, last = (-128 - zero_point) * scale, (127 - zero_point) * scale
    slack = 2 * scale  # quantizations are moved by a level, so that 0 has one
    for low, high in _USUAL_RANGES:
        lies_in = low - slack <= first and last <= high + slack
        shares_end = first <= low + slack or last >= high - slack
        if lies_in and shares_end and 2 * (last - first) >= high - low:
            return low, high
    return first, last
