"""Makes the target in a frame upright: the runtime's main class."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from types import TracebackType
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.geometry import (
    THETA_SIZE,
    corners_to_homography,
    homography_to_theta,
    identity_theta,
    is_valid_quadrilateral,
    pixel_homography,
    theta_to_corners,
    theta_to_homography,
    upright_size,
)
from stn_rectify.runtime.interpreter import Interpreter, InterpreterPackage, open_interpreter
from stn_rectify.runtime.metadata import MAX_PASSES
from stn_rectify.runtime.model_file import ModelFile
from stn_rectify.runtime.preprocess import (
    OPENCV_CHANNELS,
    Preprocessor,
    by_channels,
    check_frame,
    resize_antialiased,
)
from stn_rectify.runtime.rectification import Rectification
from stn_rectify.runtime.refinement import RefineNetwork, final_score, refine_pose
from stn_rectify.runtime.thin_plate_spline import spline_map

__all__ = ["Rectifier"]

_IDENTITY = identity_theta("projective")
_MAX_OUTPUT_SIDE = 16384
_OWN_SIZE_LIMIT = 2  # the target's own size is at most so many times the frame's longer side


class Rectifier:
    """A model, ready to rectify frames.

    Use one from one thread at a time, and one per thread in parallel.

    Args:
        model: path of a model file, or the name of a bundled one; None for the default, ``"general"``.
        threads: threads that the network computes with, 1 or more. More than one gains little for a network this
            small, and loses much when other programs want the cores.
        output: where the pixels of the rectified image come from. ``"frame"``: the full-resolution frame,
            warped by OpenCV. ``"model"``: the graph itself, at the network's resolution (not with pose-only
            files).
        output_size: width and height of the rectified image, pixels, with ``output="frame"``. None for the
            target's own size in the frame, which keeps its resolution and aspect and differs from frame to
            frame.
        refine: refinement passes after the first look at the frame, each a look at the target as rectified so far
            (`stn_rectify.runtime.refinement`). None for what the model file says; 0 for none, as always with files of
            one network and with ``output="model"``, whose pixels the graph has taken before.

    Raises:
        ModelFileError: the model file is missing, damaged or not all-integer.
        UsageError: the options do not fit together or the model.
        StnRectifyError: no interpreter works in this environment.

    Example:
        >>> with Rectifier() as rectifier:  # doctest: +SKIP
        ...     result = rectifier.rectify(frame)
        ...     if result.score > 0.5:
        ...         cv2.imwrite("upright.png", result.image)
    """

    def __init__(
        self,
        model: str | PathLike[str] | None = None,
        *,
        threads: int = 1,
        output: Literal["frame", "model"] = "frame",
        output_size: tuple[int, int] | None = None,
        refine: int | None = None,
    ) -> None:
        self._model = ModelFile.open(model)
        self._output_size = _check_output(output, output_size, self._model)
        self._output = output
        self._passes = _check_refine(refine, output, self._model)
        self._preprocessor = Preprocessor(self._model.metadata.input)
        self._interpreter: Interpreter | None = open_interpreter(self._model.flatbuffer, threads=threads)
        spec = self._model.metadata.refine
        self._refine_network = RefineNetwork(spec, self._interpreter) if spec is not None and self._passes else None
        self._package = self._interpreter.package
        self._threads = threads
        self._busy = threading.Lock()

    @property
    def model(self) -> ModelFile:
        """The model file."""
        return self._model

    @property
    def package(self) -> InterpreterPackage:
        """The interpreter's package; its `str` says name and version."""
        return self._package

    @property
    def threads(self) -> int:
        """Threads that the network computes with."""
        return self._threads

    @property
    def refine(self) -> int:
        """Refinement passes that each frame gets, as far as its pose allows."""
        return self._passes

    def rectify(self, frame: npt.NDArray[np.uint8]) -> Rectification:
        """Finds the target in a frame and makes it upright.

        Args:
            frame: BGR uint8 [H, W, 3] as OpenCV gives it, or grey [H, W]; any size. It is not changed.

        Returns:
            The rectified image, where it was in the frame, and how sure the model is. All arrays are new.

        Raises:
            DataError: the frame has the wrong type, dtype or shape.
            UsageError: closed, or in use by another thread.
        """
        started = time.perf_counter()
        with self._in_use() as interpreter:
            checked = check_frame(frame, self._model.metadata.input)
            theta, score, pixels = self._run(interpreter, checked)
            class_scores = self._class_scores(interpreter)
            frame_size = (checked.shape[1], checked.shape[0])
            corners = theta_to_corners(theta, *frame_size)
            usable = is_valid_quadrilateral(corners)
            if usable and self._refine_network is not None:
                pose = refine_pose(self._refine_network, checked, theta_to_homography(theta), self._passes)
                theta, score = homography_to_theta(pose.homography), final_score(score, pose.score)
                corners = theta_to_corners(theta, *frame_size)
            if not usable:
                theta, score = _IDENTITY, 0.0
                corners = theta_to_corners(theta, *frame_size)
            size = self._image_size(corners, frame_size)
            is_spline = len(theta) == THETA_SIZE["tps"]
            flat = homography_to_theta(corners_to_homography(corners, *frame_size)) if is_spline else theta
            homography = pixel_homography(flat, frame_size, size)
            homography /= homography[2, 2]  # a usable pose has every pixel before the camera: never 0
            if not usable:
                image = self._resized(checked, size)
            elif pixels is not None:
                image = self._preprocessor.pixels(pixels)
            else:
                image = self._warp(checked, theta if is_spline else homography, size)
        latency_ms = (time.perf_counter() - started) * 1000
        if class_scores is None or not usable:
            return Rectification(image, corners, homography, score, latency_ms)
        best = int(class_scores.argmax())
        label = self._model.labels[best] if self._model.labels else str(best)
        return Rectification(
            image, corners, homography, score, latency_ms, label, float(class_scores[best]), class_scores
        )

    def close(self) -> None:
        """Lets the model go. Closing twice does no harm.

        Raises:
            UsageError: another thread is rectifying a frame.
        """
        if not self._busy.acquire(blocking=False):
            raise UsageError("this Rectifier is rectifying a frame in another thread: close it afterwards")
        self._interpreter = self._refine_network = None
        self._busy.release()

    def __enter__(self) -> Rectifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        metadata = self._model.metadata
        state = "" if self._interpreter else ", closed"
        threads = f"{self._threads} thread{'s' if self._threads > 1 else ''}"
        refine = f", refine={self._passes}" if metadata.refine is not None else ""
        return f"<Rectifier {metadata.name!r}, {metadata.kind}{refine}, on {self._package}, {threads}{state}>"

    @contextmanager
    def _in_use(self) -> Iterator[Interpreter]:
        if not self._busy.acquire(blocking=False):
            raise UsageError("this Rectifier is in use by another thread: give each thread a Rectifier of its own")
        try:
            if self._interpreter is None:
                raise UsageError("this Rectifier is closed: make a new one")
            yield self._interpreter
        finally:
            self._busy.release()

    def _run(
        self, interpreter: Interpreter, frame: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float64], float, npt.NDArray[np.int8] | None]:
        """θ, score, and the graph's rectified image where it is wanted."""
        metadata, signature, tflite = self._model.metadata, self._model.signature, interpreter.tflite
        tflite.set_tensor(signature.inputs["frame"], self._preprocessor.network_input(frame))
        tflite.invoke()
        theta = tflite.get_tensor(signature.outputs["theta"])[0] / 2.0**metadata.theta.fractional_bits
        score = 1.0
        if metadata.score is not None:
            level = int(tflite.get_tensor(signature.outputs["score"])[0, 0])
            score = min(1.0, max(0.0, (level - metadata.score.zero_point) * metadata.score.scale))
        pixels = tflite.get_tensor(signature.outputs["rectified"])[0] if self._output == "model" else None
        return theta, score, pixels

    def _class_scores(self, interpreter: Interpreter) -> npt.NDArray[np.float64] | None:
        """Probabilities, of a recognizer in the file: it has read the graph's own rectified image."""
        spec = self._model.metadata.class_scores
        if spec is None:
            return None
        levels = interpreter.tflite.get_tensor(self._model.signature.outputs["class_scores"])[0]
        values = (levels.astype(np.float64) - spec.zero_point) * spec.scale
        if spec.activation == "sigmoid":
            return np.asarray(values)
        if spec.activation == "logits":
            values = np.exp(values - values.max())
        return np.asarray(values / max(float(values.sum()), 1e-9))

    def _image_size(self, corners: npt.NDArray[np.float64], frame_size: tuple[int, int]) -> tuple[int, int]:
        if self._output_size is not None:
            return self._output_size
        return upright_size(corners, max_side=min(_MAX_OUTPUT_SIDE, _OWN_SIZE_LIMIT * max(frame_size)))

    def _resized(self, frame: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """The whole frame, with the channels that a rectified image would have."""
        if self._output == "model":
            frame = self._preprocessor.pixels(self._preprocessor.network_input(frame)[0])
        return np.array(resize_antialiased(frame, *size))

    def _warp(
        self, frame: npt.NDArray[np.uint8], pose: npt.NDArray[np.float64], size: tuple[int, int]
    ) -> npt.NDArray[np.uint8]:
        """Samples the frame; ``pose`` is a homography [3, 3] or the θ of a spline [32]."""
        if frame.ndim == 3 and frame.shape[2] > OPENCV_CHANNELS:
            return by_channels(frame, lambda part: self._warp(part, pose, size))
        border = cv2.BORDER_REPLICATE if self._model.metadata.padding == "border" else cv2.BORDER_CONSTANT
        outside = (self._preprocessor.zero_pixel,) * OPENCV_CHANNELS
        if pose.ndim == 1:
            x, y = spline_map(pose, (frame.shape[1], frame.shape[0]), size)
            warped = cv2.remap(frame, x, y, cv2.INTER_LINEAR, borderMode=border, borderValue=outside)
        else:
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            warped = cv2.warpPerspective(frame, pose, size, flags=flags, borderMode=border, borderValue=outside)
        return np.asarray(warped, np.uint8)


def _check_refine(refine: object, output: str, model: ModelFile) -> int:
    """How many refinement passes to make."""
    spec, name = model.metadata.refine, model.metadata.name
    if refine is None:
        return 0 if spec is None or output == "model" else spec.passes
    if not isinstance(refine, int | np.integer) or isinstance(refine, bool) or not 0 <= refine <= MAX_PASSES:
        raise UsageError(f"refine is {refine!r}: must be a whole number from 0 to {MAX_PASSES}, or None")
    if refine and spec is None:
        raise UsageError(f"model {name!r} has no refine network: use refine=0, or a model that was converted with one")
    if refine and output == "model":
        raise UsageError("refine needs output='frame': the graph's own image has been taken before any refinement")
    return int(refine)


def _check_output(output: str, size: tuple[int, int] | None, model: ModelFile) -> tuple[int, int] | None:
    """The size of the rectified image, or None for the target's own."""
    if output not in ("frame", "model"):
        raise UsageError(f"output is {output!r}: choose 'frame' or 'model'")
    if output == "model":
        rectified = model.metadata.rectified
        if rectified is None:
            raise UsageError(f"model {model.metadata.name!r} is pose-only and makes no image: use output='frame'")
        if size is not None:
            raise UsageError("output_size needs output='frame': the graph's own image has a fixed size")
        return rectified.width, rectified.height
    if size is None:
        return None
    width, height = size
    if not 1 <= min(size) <= max(size) <= _MAX_OUTPUT_SIDE:
        raise UsageError(f"output_size is {width}x{height}: each side must be 1 to {_MAX_OUTPUT_SIDE} pixels")
    return int(width), int(height)
