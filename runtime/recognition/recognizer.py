"""Says what a rectified image shows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.interpreter import Interpreter, InterpreterPackage, open_interpreter
from stn_rectify.runtime.model_file import ModelFile
from stn_rectify.runtime.recognition.class_probabilities import class_probabilities
from stn_rectify.runtime.recognition.ctc_decoder import CtcDecoder
from stn_rectify.runtime.recognition.label_file import read_labels
from stn_rectify.runtime.recognition.recognition import Recognition, labelled
from stn_rectify.runtime.recognition.recognizer_file import RecognizerFile
from stn_rectify.runtime.recognition.recognizer_input import RecognizerInput
from stn_rectify.runtime.rectification import Rectification

__all__ = ["Recognizer"]


class Recognizer:
    """A network that reads rectified images: a classifier, or a sequence recognizer that reads a text (CTC).

    Use one from one thread at a time.

    Args:
        model: path of a .tflite recognizer, INT8 or float, or the name of a bundled one, such as ``"digits"``.
        threads: threads that the network computes with, 1 or more.
        labels: of the classes, in place of those in the file: a text file, a label a line, or the labels themselves.
            Of a sequence recognizer they are its alphabet; ``"<blank>"`` stands for the blank, which may be left out
            where it is the last class.
        beam_width: of a sequence recognizer's decoding: 1 takes the text of the most probable alignment, more searches
            for the most probable text (`CtcDecoder`).

    Raises:
        ModelFileError: the file is missing, damaged or no recognizer of one image, or labels do not fit its classes.
        UsageError: the labels cannot be read, or the beam width does not fit the recognizer.
        StnRectifyError: no interpreter works in this environment.

    Example:
        >>> with Recognizer("digits") as recognizer:  # doctest: +SKIP
        ...     found = recognizer.recognize(image)
        ...     print(found.label, found.score)
    """

    def __init__(
        self,
        model: str | PathLike[str],
        *,
        threads: int = 1,
        labels: str | PathLike[str] | Sequence[str] | None = None,
        beam_width: int = 1,
    ) -> None:
        names = read_labels(labels) if isinstance(labels, (str, PathLike)) else labels
        self._file = RecognizerFile.open(model, names)
        self._activation = self._file.activation
        self._decoder = self._make_decoder(beam_width)
        self._interpreter: Interpreter | None = open_interpreter(self._file.flatbuffer, threads=threads)
        self._package = self._interpreter.package
        self._image = self._interpreter.tflite.get_input_details()[0]
        self._scores = self._interpreter.tflite.get_output_details()[0]
        self._input = RecognizerInput(self._file, *self._image["quantization"])

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
        tflite.set_tensor(self._image["index"], self._input(image))
        tflite.invoke()
        scores = self._probabilities(tflite.get_tensor(self._scores["index"])[0])
        if self._decoder is not None:
            return self._decoder(scores)
        best, labels = int(scores.argmax()), self._file.labels
        return Recognition(labels[best] if labels else str(best), float(scores[best]), scores, labels)

    def label(self, result: Rectification) -> Rectification:
        """The same result with label, label score and class scores; unchanged where its score is 0: no target."""
        if result.score == 0:
            return result
        started = time.perf_counter()
        found = labelled(result, self.recognize(result.image))
        return replace(found, latency_ms=result.latency_ms + (time.perf_counter() - started) * 1000)

    def reads_output_of(self, model: ModelFile) -> bool:
        """Whether the rectified image that a model's graph makes is just what this network was made for."""
        rectified = model.metadata.rectified
        return rectified is not None and self._file.image.shape[1:] == (
            rectified.height,
            rectified.width,
            rectified.channels,
        )

    def output_options(self, model: ModelFile, refine: int | None = None) -> dict[str, Any]:
        """The arguments ``output`` and ``output_size`` of a `Rectifier` whose images are what this network knows.

        That is the graph's own image if it has the size that the network reads, else the frame warped to that size.

        Args:
            model: of the `Rectifier`.
            refine: its argument of that name. The graph's own image is made before any refinement pass: with passes
                the frame is warped.
        """
        spec = model.metadata.refine
        passes = refine if refine is not None else 0 if spec is None else spec.passes
        if self.reads_output_of(model) and not passes:
            return {"output": "model"}
        return {"output_size": self.input_size}

    def close(self) -> None:
        """Lets the network go. Closing twice does no harm."""
        self._interpreter = None

    def __enter__(self) -> Recognizer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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

    def _probabilities(self, scores: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
        """Of the classes [K], or of the classes in each step [T, K]."""
        values = np.asarray(scores, np.float64)
        if self._file.scores.dtype != "FLOAT32":
            scale, zero_point = self._scores["quantization"]
            values = (values - zero_point) * scale
        if self._file.sequence is not None:
            values = self._file.sequence.rows(values)
        # Where the file does not say what scores are, logits show themselves at some image, and are known from then on.
        if self._activation is None and (values.min() < 0 or values.max() > 1):
            self._activation = "logits"
        return class_probabilities(values, self._activation or "softmax")
