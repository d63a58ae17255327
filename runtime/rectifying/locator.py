"""Asks the networks of a model file where the targets lie in a frame."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.clock import milliseconds_since
from stn_rectify.runtime.geometry import (
    homography_to_corners,
    homography_to_theta,
    identity_theta,
    is_valid_quadrilateral,
    theta_to_corners,
    theta_to_homography,
)
from stn_rectify.runtime.model.interpreter import Interpreter
from stn_rectify.runtime.model.labels import class_label, class_probabilities
from stn_rectify.runtime.model.model_file import ModelFile
from stn_rectify.runtime.rectifying.pixels.preprocess import Preprocessor
from stn_rectify.runtime.rectifying.pixels.pyramid import FramePyramid
from stn_rectify.runtime.rectifying.refining.refinement import RefineNetwork, final_score, refine_pose
from stn_rectify.runtime.rectifying.refining.turn_network import TurnNetwork, upright
from stn_rectify.runtime.rectifying.searching.boxes import BoxStart
from stn_rectify.runtime.rectifying.searching.dense_scan import DenseScan, Scan
from stn_rectify.runtime.rectifying.searching.dense_search import DenseSearch, found_at
from stn_rectify.runtime.rectifying.searching.whole_look import WholeLook
from stn_rectify.runtime.results import FOUND_SCORE, Location

#: What is less sure than this share of a target's least score is not looked at any further.
_HOPEFUL = 0.5


class Locator:
    """The networks of one model file in their interpreter. Use one from one thread at a time.

    Args:
        model: the file.
        interpreter: holds it.
        preprocessor: of the network that sees the whole frame; a dense file's levels have their own.
        passes: refinement passes after it.
        further: passes beyond those, at most, as long as a target that this has found moves.
        takes_image: whether the graph's own rectified image is wanted.
        scan: the levels that a dense network looks at (`stn_rectify.runtime.rectifying.searching.dense_scan.SCANS`).
        turns: whether targets are turned as the file's turn network says; there is one then, and no image is wanted.

    Raises:
        ModelFileError: if the interpreter cannot run the refine network, the turn network, the look at the whole
            frame or a level.
    """

    def __init__(
        self,
        model: ModelFile,
        interpreter: Interpreter,
        preprocessor: Preprocessor,
        *,
        passes: int,
        further: int = 0,
        takes_image: bool,
        scan: Scan = "full",
        turns: bool = False,
    ) -> None:
        metadata = model.metadata
        self._model, self._interpreter, self._preprocessor = model, interpreter, preprocessor
        self._passes, self._further, self._takes_image = passes, further, takes_image
        self._pyramid = FramePyramid()
        self._refine_network = (
            RefineNetwork(metadata.refine, interpreter, self._pyramid)
            if metadata.refine is not None and passes
            else None
        )
        self._turn_network = (
            TurnNetwork(metadata.turn, interpreter, self._pyramid) if metadata.turn is not None and turns else None
        )
        found_score = FOUND_SCORE if metadata.min_score is None else metadata.min_score
        self._least_score = _HOPEFUL * found_score
        self._search: DenseSearch | None = None
        if metadata.dense is not None:
            dense_scan = DenseScan(
                metadata.dense, metadata.input, interpreter, self._pyramid, scan=scan, least_score=self._least_score
            )
            whole = None if metadata.whole is None else WholeLook(metadata.whole, interpreter, self._pyramid)
            self._search = DenseSearch(
                dense_scan, self._refine_network, passes, further=further, found_score=found_score, whole=whole
            )

    def locate(self, frame: Image, *, turned: bool = True) -> Location:
        """Finds where the target lies, of several the one that stands out.

        Args:
            frame: one that `check_frame` has passed.
            turned: whether the turn network, if there is one here, is asked.
        """
        started = time.perf_counter()
        with self._loaded(frame):
            search = self._search
            found = [self._one_look(frame, started)] if search is None else self._scanned(frame, search, 1)
            found = self._upright(frame, found) if turned else found
        return _timed(found or [nowhere(frame)], started)[0]

    def locate_all(self, frame: Image, max_targets: int, *, turned: bool = True) -> list[Location]:
        """Finds where targets lie, best first; those without a usable pose are left out.

        Args:
            frame: one that `check_frame` has passed.
            max_targets: how many at most, 1 or more. A network of one look finds one.
            turned: as of `locate`.
        """
        started = time.perf_counter()
        with self._loaded(frame):
            if self._search is None:
                location = self._one_look(frame, started)
                found = [] if location.theta is None else [location]
            else:
                found = self._scanned(frame, self._search, max_targets)
            found = self._upright(frame, found) if turned else found
        return _timed(found, started)

    def locate_in(self, frame: Image, starts: Sequence[BoxStart], *, turned: bool = True) -> list[Location]:
        """Refines poses that another has found, best first.

        Args:
            frame: one that `check_frame` has passed.
            starts: the poses; there is a refine network, and ``passes`` is 1 or more.
            turned: as of `locate`.
        """
        started = time.perf_counter()
        network = self._refine_network
        assert network is not None
        found = []
        with self._loaded(frame):
            for start in starts:
                homography = found_at(frame, start.corners, 1.0).homography
                pose = refine_pose(network, frame, homography, self._passes + start.more_passes)
                found.append(_location(frame, pose.homography, final_score(1.0, pose.score), box=start.row))
            found = self._upright(frame, found) if turned else found
        return _timed(sorted(found, key=lambda location: -location.score), started)

    def turn(self, frame: Image, location: Location) -> Location:
        """Turns a target that was found without asking the turn network, where that is sure.

        Args:
            frame: one that `check_frame` has passed.
            location: in it.

        Returns:
            As it was if there is no turn network here, or no usable pose.
        """
        if self._turn_network is None or location.theta is None:
            return location
        started = time.perf_counter()
        with self._loaded(frame):
            turned = upright(self._turn_network, frame, location)
        return replace(turned, latency_ms=location.latency_ms + milliseconds_since(started))

    @contextmanager
    def _loaded(self, frame: Image) -> Iterator[None]:
        """The pyramid holds the frame."""
        self._pyramid.load(frame)
        try:
            yield
        finally:
            self._pyramid.load(None)

    def _scanned(self, frame: Image, search: DenseSearch, max_targets: int) -> list[Location]:
        return [_location(frame, found.homography, found.score) for found in search.find(frame, max_targets)]

    def _upright(self, frame: Image, found: list[Location]) -> list[Location]:
        """The locations, turned where the turn network is sure."""
        network = self._turn_network
        if network is None:
            return found
        least = self._least_score
        return [upright(network, frame, one) if one.theta is not None and one.score >= least else one for one in found]

    def _one_look(self, frame: Image, started: float) -> Location:
        frame_size = (frame.shape[1], frame.shape[0])
        theta: FloatArray | None
        theta, score = self._look(frame)
        image, class_scores = self._image(), self._class_scores()  # of this inference, before any other
        corners = theta_to_corners(theta, *frame_size)
        if not is_valid_quadrilateral(corners):
            theta, score, corners = None, 0.0, theta_to_corners(identity_theta("projective"), *frame_size)
        elif self._refine_network is not None:
            start = theta_to_homography(theta)
            pose = refine_pose(self._refine_network, frame, start, self._passes, further=self._further)
            theta, score = homography_to_theta(pose.homography), final_score(score, pose.score)
            corners = theta_to_corners(theta, *frame_size)
        label = () if class_scores is None or score == 0 else self._label(class_scores)
        return Location(corners, score, milliseconds_since(started), theta, image, *label)

    def _look(self, frame: Image) -> tuple[FloatArray, float]:
        """θ and score of the network that sees the whole frame."""
        metadata, signature, tflite = self._model.metadata, self._model.signature, self._interpreter.tflite
        assert metadata.theta is not None  # only dense files lack it
        tflite.set_tensor(signature.inputs["frame"], self._preprocessor.network_input(frame, self._pyramid))
        self._interpreter.invoke()
        theta = metadata.theta.value(tflite.get_tensor(signature.outputs["theta"])[0])
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

    def _label(self, class_scores: FloatArray) -> tuple[str | None, float, FloatArray]:
        """Label, label score and class scores of a `Location`."""
        best = int(class_scores.argmax())
        return class_label(self._model.labels, best), float(class_scores[best]), class_scores


def nowhere(frame: Image) -> Location:
    """What stands for a target where there is none: the whole frame, score 0."""
    corners = theta_to_corners(identity_theta("projective"), frame.shape[1], frame.shape[0])
    return Location(corners, 0.0, 0.0)


def _location(frame: Image, homography: FloatArray, score: float, box: int | None = None) -> Location:
    corners = homography_to_corners(homography, frame.shape[1], frame.shape[0])
    return Location(corners, score, 0.0, homography_to_theta(homography), box=box)


def _timed(locations: Sequence[Location], started: float) -> list[Location]:
    """The locations of one frame, each with the time that all took."""
    latency_ms = milliseconds_since(started)
    return [replace(location, latency_ms=latency_ms) for location in locations]
