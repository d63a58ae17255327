"""Windows of convolutions and pooling: where ONNX puts them, and padding that gives TensorFlow the same ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from stn_rectify.converters.reading.onnx.operators.call import Call
from stn_rectify.runtime.arrays import Array


@dataclass(frozen=True)
class Windows:
    """Windows over an image.

    Attributes:
        image: its height and width.
        sizes: of a window, rows and columns.
        strides: from one to the next.
        dilations: from one of its numbers to the next.
        before: how far the first ones stand out above and to the left.
        after: how far the image is padded below and to the right.
        counts: how many there are, down and across; with ``ceil_mode`` the last ones stand out further.
    """

    image: tuple[int, int]
    sizes: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]
    counts: tuple[int, int]

    @staticmethod
    def of(call: Call, image: Sequence[int], kernel: Any) -> Windows:
        """The windows of a node.

        Args:
            call: the node.
            image: height and width of what it works on.
            kernel: rows and columns.
        """
        sizes = _pair(kernel)
        strides, dilations = (_pair(call.attribute(name, (1, 1))) for name in ("strides", "dilations"))
        reach = tuple((size - 1) * step + 1 for size, step in zip(sizes, dilations, strict=True))
        auto = call.attribute("auto_pad", "NOTSET")
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            total = [max((-(-n // s) - 1) * s + r - n, 0) for n, s, r in zip(image, strides, reach, strict=True)]
            less, more = _pair([n // 2 for n in total]), _pair([n - n // 2 for n in total])
            before, after = (less, more) if auto == "SAME_UPPER" else (more, less)
        else:
            pads = call.attribute("pads") if auto == "NOTSET" else None
            top, left, bottom, right = pads or (0, 0, 0, 0)
            before, after = (top, left), (bottom, right)
        counts = []
        for n, b, a, s, r in zip(image, before, after, strides, reach, strict=True):
            room = n + b + a - r
            count = (-(-room // s) if call.attribute("ceil_mode", 0) else room // s) + 1
            counts.append(count - 1 if (count - 1) * s >= n + b else count)  # none begins behind the image
        if min(counts) < 1:
            call.refuse(f"has windows of {reach[0]}x{reach[1]} on an image of {image[0]}x{image[1]}: they do not fit")
        return Windows(_pair(image), sizes, strides, dilations, _pair(before), _pair(after), _pair(counts))

    @property
    def is_whole(self) -> bool:
        """Tells whether there is one window, the image itself."""
        return self.sizes == self.image and self.counts == (1, 1) and not any((*self.before, *self.after))

    @property
    def is_same(self) -> bool:
        """Tells whether TensorFlow's padding ``SAME`` makes the same windows."""
        for n, b, s, size, dilation, count in zip(
            self.image, self.before, self.strides, self.sizes, self.dilations, self.counts, strict=True
        ):
            total = max((-(-n // s) - 1) * s + (size - 1) * dilation + 1 - n, 0)
            if count != -(-n // s) or b != total // 2:
                return False
        return True

    @property
    def _behind(self) -> tuple[int, int]:
        """How far the last windows stand out below and to the right; not below 0."""
        ends = [
            (count - 1) * stride + (size - 1) * dilation + 1 - before - n
            for count, stride, size, dilation, before, n in zip(
                self.counts, self.strides, self.sizes, self.dilations, self.before, self.image, strict=True
            )
        ]
        return _pair([max(0, end) for end in ends])

    def zero_padded(self, image: Any) -> Any:
        """The image [N, H, W, C] with zeros where windows stand out."""
        return _padded(image, self.before, self._behind)

    def edge_padded(self, image: Any) -> Any:
        """The same with its edge repeated: a maximum is what it is without, because each window holds the edge, too."""
        for axis, before, behind in zip((1, 2), self.before, self._behind, strict=True):
            first, last = (tf.gather(image, [k], axis=axis) for k in (0, image.shape[axis] - 1))
            parts = [first] * before + [image] + [last] * behind
            image = tf.concat(parts, axis=axis) if len(parts) > 1 else image
        return image

    def convolved(self, image: Any, filters: Array, convolve: Callable[..., Any]) -> Any:
        """A convolution [N, H, W, C] with filters as TensorFlow has them, by one of its functions."""
        if convolve is not tf.nn.depthwise_conv2d:
            steps: Any = self.strides
        elif len(set(self.strides)) > 1 or (max(self.strides) > 1 and max(self.dilations) > 1):
            # No such operator: the places between are computed, too, and left out.
            found = convolve(self.zero_padded(image), filters, (1, 1, 1, 1), "VALID", dilations=self.dilations)
            return found[:, :: self.strides[0], :: self.strides[1]]
        else:
            steps = (1, *self.strides, 1)
        if self.is_same:
            return convolve(image, filters, steps, "SAME", dilations=self.dilations)
        return convolve(self.zero_padded(image), filters, steps, "VALID", dilations=self.dilations)

    def share_counted(self, counts_zeros: bool) -> Array:
        """Which share of each window an average counts, float32 [rows, columns].

        Args:
            counts_zeros: whether the padding counts; what stands out beyond it never does.
        """
        sides = []
        for n, b, a, s, size, count in zip(
            self.image, self.before, self.after, self.strides, self.sizes, self.counts, strict=True
        ):
            first = np.arange(count) * s - b
            low, high = (-b, n + a) if counts_zeros else (0, n)
            sides.append((np.minimum(first + size, high) - np.maximum(first, low)) / size)
        return np.asarray(np.outer(*sides), np.float32)


def _padded(image: Any, before: tuple[int, int], after: tuple[int, int]) -> Any:
    if not any((*before, *after)):
        return image
    return tf.pad(image, [(0, 0), (before[0], after[0]), (before[1], after[1]), (0, 0)])


def _pair(numbers: Any) -> tuple[int, int]:
    first, second = (int(n) for n in numbers)
    return first, second
