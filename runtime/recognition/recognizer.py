"""Says what a rectified image shows: the recognizer, and the input that it makes of an image."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.arrays import Array, FloatArray, Image
from stn_rectify.runtime.checks import check_flag, check_path, check_whole
from stn_rectify.runtime.clock import milliseconds_since
from stn_rectify.runtime.closing import Closing
from stn_rectify.runtime.errors import UsageError, shown, warn
from stn_rectify.runtime.model.interpreter import Interpreter, InterpreterPackage
from stn_rectify.runtime.model.labels import class_label, class_probabilities, read_labels
from stn_rectify.runtime.model.limits import ModelLimits
from stn_rectify.runtime.model.metadata import InputSpec
from stn_rectify.runtime.model.model_file import ModelFile
from stn_rectify.runtime.model.tflite_file import SHA256_SUFFIX
from stn_rectify.runtime.model.trial import open_tried
from stn_rectify.runtime.process.sharing import NotCopied, OneAtATime
from stn_rectify.runtime.recognition.ctc import CtcDecoder
from stn_rectify.runtime.recognition.recognition import Recognition, labelled
from stn_rectify.runtime.recognition.recognizer_file import RecognizerFile
from stn_rectify.runtime.rectifying.pixels.preprocess import Preprocessor, check_frame
from stn_rectify.runtime.results import Rectification

_ROUNDING = 1e-6  # of float probabilities
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
        colour = "GREY" if channels == 1 else "BGR" if file.is_bgr else "RGB"
        self.spec = InputSpec(height, width, channels, colour, *levels)
        self._preprocessor = Preprocessor(self.spec)

    def __call__(self, image: Array) -> npt.NDArray[np.generic]:
        """The tensor [1, h, w, C] of an image, BGR uint8 [H, W, 3] or grey [H, W].

        Raises:
            DataError: if the image has the wrong type, dtype or shape.
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
    """Gives the values that a network takes for pixel values 0 and 255, as its int8 input's quantization tells them."""
    first, last = (-128 - zero_point) * scale, (127 - zero_point) * scale
    slack = 2 * scale  # quantizations are moved by a level, so that 0 has one
    for low, high in _USUAL_RANGES:
        lies_in = low - slack <= first and last <= high + slack
        shares_end = first <= low + slack or last >= high - slack
        if lies_in and shares_end and 2 * (last - first) >= high - low:
            return low, high
    return first, last


def _labels(labels: object) -> tuple[str, ...] | None:
    """The labels of an argument: those of a text file, or the labels themselves.

    Raises:
        UsageError: if it is something else.
    """
    if labels is None:
        return None
    if isinstance(labels, str | bytes | PathLike):
        return read_labels(check_path("labels", labels))
    if not isinstance(labels, Sequence | np.ndarray) or not all(isinstance(label, str) for label in labels):
        raise UsageError(f"labels is {shown(labels)}: must be a text file, a label a line, or a sequence of texts")
    return tuple(map(str, labels))


class Recognizer(Closing, NotCopied):
    """A network that reads rectified images: a classifier, or a sequence recognizer that reads a text (CTC).

    Threads may share one, and a forked child its parent's, as with a `Rectifier`.

    Args:
        model: path of a .tflite recognizer, INT8 or float, or the name of a bundled one, such as ``"digits"``.
        threads: threads that the network computes with, 1 or more.
        labels: of the classes, in place of those in the file: a text file, a label a line, or the labels themselves.
            Of a sequence recognizer they are its alphabet; ``"<blank>"`` stands for the blank, which may be left out
            where it is the last class.
        beam_width: of a sequence recognizer's decoding: 1 takes the text of the most probable alignment, more searches
            for the most probable text (`CtcDecoder`).
        sha256: that the whole file must have, 64 hexadecimal digits. None for the one in a file beside it,
            ``NAME.tflite.sha256``, as sha256sum writes it. A file that has neither, nor metadata of stn-convert, is
            taken as it is, with a `StnRectifyWarning`.
        limits: how much the file may unpack to; None for the default ones.
        blocking: whether a thread waits while another one uses the recognizer; False for a `UsageError` instead.

    Raises:
        ModelFileError: if the file is missing, damaged or no recognizer of one image, or if labels do not fit its
            classes.
        UsageError: if the labels cannot be read, the beam width does not fit the recognizer, or an argument is of the
            wrong type.
        StnRectifyError: if no interpreter works in this environment.

    Example:
        >>> with Recognizer("digits") as recognizer:  # doctest: +SKIP
        ...     recognition = recognizer.recognize(image)
        ...     print(recognition.label, recognition.score)
    """

    def __init__(
        self,
        model: str | PathLike[str],
        *,
        threads: int = 1,
        labels: str | PathLike[str] | Sequence[str] | None = None,
        beam_width: int = 1,
        sha256: str | None = None,
        limits: ModelLimits | None = None,
        blocking: bool = True,
    ) -> None:
        threads, blocking = check_whole("threads", threads, 1), check_flag("blocking", blocking)
        beam_width = check_whole("beam_width", beam_width, 1)
        self._file = RecognizerFile.open(model, _labels(labels), sha256=sha256, limits=limits)
        if not self._file.is_verified:
            path = self._file.path
            warn(
                f"recognizer {path}: nothing tells whether the file is what it was; if you trust it: "
                f"sha256sum {path} > {path}{SHA256_SUFFIX}"
            )
        self._decoder = self._make_decoder(beam_width)
        interpreter = open_tried(
            self._file.flatbuffer,
            noun="recognizer",
            path=self._file.path,
            threads=threads,
            limits=limits,
            is_trusted=self._file.is_bundled,
        )
        self._package = interpreter.package
        self._image = interpreter.tflite.get_input_details()[0]
        self._scores = interpreter.tflite.get_output_details()[0]
        self._input = RecognizerInput(self._file, *self._image["quantization"])
        self._activation = self._file.activation or self._tried_activation(interpreter)
        self._use = OneAtATime("Recognizer", interpreter, blocking=blocking)

    @property
    def file(self) -> RecognizerFile:
        """The recognizer's file."""
        return self._file

    @property
    def package(self) -> InterpreterPackage:
        """The interpreter's package; its `str` says name and version."""
        return self._package

    @property
    def input_size(self) -> tuple[int, int]:
        """Width and height of the image that the network sees, pixels."""
        return self._input.spec.width, self._input.spec.height

    def recognize(self, image: Array) -> Recognition:
        """Says what an image shows; it is brought to the network's size and colours.

        Args:
            image: BGR uint8 [h, w, 3] as OpenCV gives it, or grey [h, w]: upright, such as `Rectification.image`.

        Raises:
            DataError: if the image has the wrong type, dtype or shape.
            UsageError: if the recognizer is closed, or with ``blocking=False`` another thread is using it.
        """
        with self._use.turn() as interpreter:
            values = self._values(interpreter, image)
        scores = class_probabilities(values, self._activation)
        if self._decoder is not None:
            return self._decoder(scores)
        best, labels = int(scores.argmax()), self._file.labels
        return Recognition(class_label(labels, best), float(scores[best]), scores, labels)

    def label(self, result: Rectification) -> Rectification:
        """The same result with label, label score and class scores; unchanged where its score is 0: no target."""
        if result.score == 0:
            return result
        started = time.perf_counter()
        with_label = labelled(result, self.recognize(result.image))
        return replace(with_label, latency_ms=result.latency_ms + milliseconds_since(started))

    def reads_output_of(self, model: ModelFile) -> bool:
        """Tells whether the rectified image that a model's graph makes has the shape that this network takes."""
        rectified = model.metadata.rectified
        return rectified is not None and self._file.image.shape[1:] == (
            rectified.height,
            rectified.width,
            rectified.channels,
        )

    def output_options(self, model: ModelFile, refine: int | None = None) -> dict[str, Any]:
        """The arguments of a `Rectifier` whose images are what this network knows.

        That is the graph's own image (``output``) if it has the size that the network reads, else the frame warped to
        that size (``output_size``), with the margin that the network was trained with, if any (``margin``).

        Args:
            model: of the `Rectifier`.
            refine: its argument of that name. The graph's own image is made before any refinement pass: with passes
                the frame is warped.
        """
        spec = model.metadata.refine
        passes = refine if refine is not None else 0 if spec is None else spec.passes
        margin = {"margin": self._file.margin} if self._file.margin else {}
        if self.reads_output_of(model) and not passes and not margin:
            return {"output": "model"}
        return {"output_size": self.input_size, **margin}

    def close(self) -> None:
        """Lets the network go. Closing twice does no harm.

        Raises:
            UsageError: if another thread is using it, and with ``blocking=False`` none waits.
        """
        self._use.close()

    def _make_decoder(self, beam_width: int) -> CtcDecoder | None:
        sequence = self._file.sequence
        if sequence is not None:
            return CtcDecoder(self._file.labels, sequence.blank, beam_width)
        if beam_width != 1:
            raise UsageError(
                f"recognizer {self._file.name!r} is a classifier, there is nothing to search: leave beam_width "
                "(--beam-width) out"
            )
        return None

    def _tried_activation(self, interpreter: Interpreter) -> str:
        """Judges the numbers of a network whose graph does not tell, on black, white and noise, before any frame."""
        width, height = self.input_size
        noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        values = np.stack(
            [self._values(interpreter, image) for image in (np.zeros_like(noise), np.full_like(noise, 255), noise)]
        )
        return "softmax" if values.min() >= 0 and values.max() <= 1 + _ROUNDING else "logits"

    def _values(self, interpreter: Interpreter, image: Image) -> FloatArray:
        """The numbers that the network ends with: of the classes [K], or of the classes in each step [T, K]."""
        interpreter.tflite.set_tensor(self._image["index"], self._input(image))
        interpreter.invoke()
        values = np.asarray(interpreter.tflite.get_tensor(self._scores["index"])[0], np.float64)
        if self._file.scores.dtype != "FLOAT32":
            scale, zero_point = self._scores["quantization"]
            values = (values - zero_point) * scale
        if self._file.sequence is not None:
            values = self._file.sequence.rows(values)
        return values
