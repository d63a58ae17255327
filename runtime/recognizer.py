"""Says what a rectified image shows."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from os import PathLike
from types import TracebackType

import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.interpreter import Interpreter, InterpreterPackage, open_interpreter
from stn_rectify.runtime.metadata import InputSpec
from stn_rectify.runtime.model_file import ModelFile
from stn_rectify.runtime.preprocess import Preprocessor, check_frame
from stn_rectify.runtime.recognizer_file import RecognizerFile
from stn_rectify.runtime.rectification import Rectification

__all__ = ["Recognition", "Recognizer"]

_PIXEL = 1 / 255


@dataclass(frozen=True, eq=False)
class Recognition:
    """What an image shows.

    Attributes:
        label: of the most probable class; its number if the file has no labels.
        score: how sure the recognizer is, 0 to 1.
        class_scores: float64 [K], how probable each class is.
    """

    label: str
    score: float
    class_scores: npt.NDArray[np.float64] = field(repr=False)


class Recognizer:
    """A classifier, ready for rectified images. Use one from one thread at a time.

    Args:
        model: path of a .tflite classifier, INT8 or float, or the name of a bundled one, such as ``"digits"``.
        threads: threads that the network computes with, 1 or more.

    Raises:
        ModelFileError: the file is missing, damaged or no classifier of one image.
        StnRectifyError: no interpreter works in this environment.

    Example:
        >>> with Recognizer("digits") as recognizer:  # doctest: +SKIP
        ...     found = recognizer.recognize(image)
        ...     print(found.label, found.score)
    """

    def __init__(self, model: str | PathLike[str], *, threads: int = 1) -> None:
        self._file = RecognizerFile.open(model)
        _, height, width, channels = self._file.image.shape
        colour = "RGB" if channels == 3 else "GREY"
        # Pixel values as bytes less 128; `_input` brings them to the file's own numbers.
        self._spec = InputSpec(height, width, channels, colour, (0.0, 1.0), _PIXEL, -128)
        self._preprocessor = Preprocessor(self._spec)
        self._interpreter: Interpreter | None = open_interpreter(self._file.flatbuffer, threads=threads)
        self._package = self._interpreter.package
        self._image = self._interpreter.tflite.get_input_details()[0]
        self._scores = self._interpreter.tflite.get_output_details()[0]

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
        return self._spec.width, self._spec.height

    def recognize(self, image: npt.NDArray[np.uint8]) -> Recognition:
        """Says what an image shows; it is brought to the network's size and colours.

        Args:
            image: BGR uint8 [h, w, 3] as OpenCV gives it, or grey [h, w]: upright, such as `Rectification.image`.

        Raises:
            DataError: the image has the wrong type, dtype or shape.
            UsageError: closed.
        """
        if self._interpreter is None:
            raise UsageError("this Recognizer is closed: make a new one")
        tflite = self._interpreter.tflite
        tflite.set_tensor(self._image["index"], self._input(check_frame(image, self._spec)))
        tflite.invoke()
        found = self._probabilities(tflite.get_tensor(self._scores["index"])[0])
        best = int(found.argmax())
        labels = self._file.labels
        return Recognition(labels[best] if labels else str(best), float(found[best]), found)

    def label(self, result: Rectification) -> Rectification:
        """The same result with label, label score and class scores; unchanged if its pose was not usable (score 0)."""
        if result.score == 0:
            return result
        started = time.perf_counter()
        found = self.recognize(result.image)
        return replace(
            result,
            label=found.label,
            label_score=found.score,
            class_scores=found.class_scores,
            latency_ms=result.latency_ms + (time.perf_counter() - started) * 1000,
        )

    def reads_output_of(self, model: ModelFile) -> bool:
        """Whether the rectified image that a model's graph makes is just what this network was made for."""
        rectified = model.metadata.rectified
        shape = None if rectified is None else (rectified.height, rectified.width, rectified.channels)
        return shape == (self._spec.height, self._spec.width, self._spec.channels)

    def close(self) -> None:
        """Lets the network go. Closing twice does no harm."""
        self._interpreter = None

    def __enter__(self) -> Recognizer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _input(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.generic]:
        """The network's input. An integer input covers the pixel values from end to end, as every calibration gives."""
        levels = self._preprocessor.network_input(image)
        if self._file.image.dtype == "INT8":
            return levels
        pixels = levels.view(np.uint8) ^ 128
        if self._file.image.dtype == "UINT8":
            return pixels
        low, high = self._file.value_range
        return pixels.astype(np.float32) * np.float32((high - low) / 255) + np.float32(low)

    def _probabilities(self, scores: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
        values = np.asarray(scores, np.float64)
        if self._file.scores.dtype != "FLOAT32":
            scale, zero_point = self._scores["quantization"]
            values = (values - zero_point) * scale
        activation = self._file.activation
        if activation is None:
            activation = "logits" if values.min() < 0 or values.max() > 1 else "softmax"
        if activation == "sigmoid":
            return values
        if activation == "logits":
            values = np.exp(values - values.max())
        return np.asarray(values / max(float(values.sum()), 1e-9))
