"""Asks the networks of a model file where the target lies in a frame."""

from __future__ import annotations

import time

import numpy as np

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.geometry import (
    homography_to_theta,
    identity_theta,
    is_valid_quadrilateral,
    theta_to_corners,
    theta_to_homography,
)
from stn_rectify.runtime.model.interpreter import Interpreter
from stn_rectify.runtime.model.labels import class_probabilities
from stn_rectify.runtime.model.model_file import ModelFile
from stn_rectify.runtime.rectifying.preprocess import Preprocessor
from stn_rectify.runtime.rectifying.pyramid import FramePyramid
from stn_rectify.runtime.rectifying.refinement import RefineNetwork, final_score, refine_pose
from stn_rectify.runtime.results import Location


class Locator:
    """The networks of one model file in their interpreter. Use one from one thread at a time.

    Args:
        model: the file.
        interpreter: holds it.
        preprocessor: of the network that sees the whole frame.
        passes: refinement passes after it.
        takes_image: whether the graph's own rectified image is wanted.

    Raises:
        ModelFileError: if the interpreter cannot run the refine network.
    """

    def __init__(
        self, model: ModelFile, interpreter: Interpreter, preprocessor: Preprocessor, *, passes: int, takes_image: bool
    ) -> None:
        spec = model.metadata.refine
        self._model, self._interpreter, self._preprocessor = model, interpreter, preprocessor
        self._passes, self._takes_image = passes, takes_image
        self._pyramid = FramePyramid()
        self._refine_network = RefineNetwork(spec, interpreter, self._pyramid) if spec is not None and passes else None

    def locate(self, frame: Image) -> Location:
        """Finds where the target lies.

        Args:
            frame: one that `check_frame` has passed.
        """
        started = time.perf_counter()
        self._pyramid.load(frame)
        try:
            return self._located(frame, started)
        finally:
            self._pyramid.load(None)

    def _located(self, frame: Image, started: float) -> Location:
        frame_size = (frame.shape[1], frame.shape[0])
        theta: FloatArray | None
        theta, score = self._look(frame)
        image, class_scores = self._image(), self._class_scores()  # of this inference, before any other
        corners = theta_to_corners(theta, *frame_size)
        if not is_valid_quadrilateral(corners):
            theta, score, corners = None, 0.0, theta_to_corners(identity_theta("projective"), *frame_size)
        elif self._refine_network is not None:
            pose = refine_pose(self._refine_network, frame, theta_to_homography(theta), self._passes)
            theta, score = homography_to_theta(pose.homography), final_score(score, pose.score)
            corners = theta_to_corners(theta, *frame_size)
        label = () if class_scores is None or score == 0 else self._label(class_scores)
        return Location(corners, score, (time.perf_counter() - started) * 1000, theta, image, *label)

    def _look(self, frame: Image) -> tuple[FloatArray, float]:
        """θ and score of the network that sees the whole frame."""
        metadata, signature, tflite = self._model.metadata, self._model.signature, self._interpreter.tflite
        tflite.set_tensor(signature.inputs["frame"], self._preprocessor.network_input(frame, self._pyramid))
        tflite.invoke()
        theta = tflite.get_tensor(signature.outputs["theta"])[0] / 2.0**metadata.theta.fractional_bits
        if metadata.score is None:
            return theta, 1.0
        return theta, metadata.score.value(int(tflite.get_tensor(signature.outputs["score"])[0, 0]))

    def _image(self) -> Image | None:
        """The graph's own rectified image, where it is wanted."""
        if not self._takes_image:
            return None
        pixels = self._interpreter.tflite.get_tensor(self._model.signature.outputs["rectified"])[0]
        return self._preprocessor.pixels(pixels)

    def _class_scores(self) -> FloatArray | None:
        """Probabilities, of a recognizer in the file: it has read the graph's own rectified image."""
        spec = self._model.metadata.class_scores
        if spec is None:
            return None
        levels = self._interpreter.tflite.get_tensor(self._model.signature.outputs["class_scores"])[0]
        values = (levels.astype(np.float64) - spec.zero_point) * spec.scale
        return class_probabilities(values, spec.activation)

    def _label(self, class_scores: FloatArray) -> tuple[str, float, FloatArray]:
        """Label, label score and class scores of a `Location`."""
        best = int(class_scores.argmax())
        return self._model.labels[best] if self._model.labels else str(best), float(class_scores[best]), class_scores
