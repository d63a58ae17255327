"""Which side of a target is up: a network looks at it as rectified, and what was found is turned by quarters.

Corners that a localization network gives are in the order of the picture: the first one is that nearest to its upper
left. Of a page photographed sideways the rectified image then lies on its side. The turn network says by how many
quarters it must be turned; where nothing tells, it is unsure, and nothing is turned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.geometry import homography_to_corners, homography_to_theta, theta_to_homography
from stn_rectify.runtime.model.interpreter import Interpreter
from stn_rectify.runtime.model.labels import class_probabilities
from stn_rectify.runtime.model.metadata import TurnSpec
from stn_rectify.runtime.model.model_file import TURN_SIGNATURE
from stn_rectify.runtime.rectifying.pixels.crops import FINE_SUPERSAMPLING, target_crop
from stn_rectify.runtime.rectifying.pixels.preprocess import OPENCV_CHANNELS, Preprocessor, by_channels
from stn_rectify.runtime.rectifying.pixels.pyramid import FramePyramid
from stn_rectify.runtime.results import Location

#: Quarters of a whole turn.
QUARTERS = 4

#: What lies around a target that is not square, in the square picture that the network sees: the pixel value.
_AROUND = 128
#: Longer targets than this, in widths or heights, are squeezed to it.
_LONGEST = 4.0

# One quarter clockwise: from coordinates of the upright target to those of the target as it was seen, [-1, 1].
_QUARTER = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
#: What the votes of earlier frames still count, one frame later.
_FADING = 0.9


@dataclass(frozen=True)
class Turn:
    """What a turn network says of a target.

    Attributes:
        quarters: by how many it must be turned clockwise to be upright, 0 to 3; None if the network is unsure.
        score: the probability of the likeliest turn, 0 to 1, whether it is sure or not.
    """

    quarters: int | None
    score: float


class TurnNetwork:
    """The turn network of a model file, in the interpreter that holds the file.

    Args:
        spec: what the file says of it.
        interpreter: holds the file.
        pyramid: one that holds every frame that is looked at, if it has no more than four channels.

    Raises:
        ModelFileError: if the interpreter cannot run it.
    """

    def __init__(self, spec: TurnSpec, interpreter: Interpreter, pyramid: FramePyramid | None = None) -> None:
        self._spec, self._interpreter, self._pyramid = spec, interpreter, pyramid
        self._preprocessor = Preprocessor(spec.input)
        # The first run allocates its tensors: what the interpreter has against them shall not wait for a frame.
        shape = (1, spec.input.height, spec.input.width, spec.input.channels)
        interpreter.run_signature(TURN_SIGNATURE, np.zeros(shape, np.int8))

    def look(self, frame: Image, homography: FloatArray) -> Turn:
        """Says by how many quarters a target must be turned.

        Args:
            frame: one that `check_frame` has passed.
            homography: [3, 3], target → frame, normalised: a usable pose.
        """
        probabilities = self.probabilities(frame, homography)
        best = int(probabilities.argmax())
        score = float(probabilities[best])
        return Turn(best if score >= self._spec.threshold else None, score)

    def probabilities(self, frame: Image, homography: FloatArray) -> FloatArray:
        """The probabilities of 0, 1, 2 and 3 quarters clockwise, float64 [4]; arguments as of `look`."""
        crop = self._preprocessor.network_input(self._crop(frame, homography, self._pyramid))
        levels = self._interpreter.run_signature(TURN_SIGNATURE, crop)["scores"][0]
        scores = self._spec.scores
        return class_probabilities((levels.astype(np.float64) - scores.zero_point) * scores.scale, scores.activation)

    def _crop(self, frame: Image, homography: FloatArray, pyramid: FramePyramid | None) -> Image:
        if frame.ndim == 3 and frame.shape[2] > OPENCV_CHANNELS:
            return by_channels(frame, lambda part: self._crop(part, homography, None))
        corners = homography_to_corners(homography, frame.shape[1], frame.shape[0])
        side = self._spec.input.width
        crop = target_crop(
            frame,
            homography,
            size=letterbox_size(aspect_of(corners), side),
            margin=0.0,
            supersampling=FINE_SUPERSAMPLING,
            pyramid=pyramid,
        )
        return letterboxed(crop, side)


def aspect_of(corners: FloatArray) -> float:
    """Width over height of a target in the frame, by the mean lengths of its edges; corners [4, 2], pixels."""
    top, right, bottom, left = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    return float((top + bottom) / max(left + right, 1e-9))


def letterbox_size(aspect: float, side: int) -> tuple[int, int]:
    """Width and height of a target in the picture that a turn network sees, pixels.

    Args:
        aspect: width over height of the target.
        side: of the picture.
    """
    ratio = min(max(aspect, 1 / aspect), _LONGEST)
    shorter = side - 2 * round((side - side / ratio) / 2)  # in the middle, to the pixel
    return (side, shorter) if aspect >= 1 else (shorter, side)


def letterboxed(crop: Image, side: int) -> Image:
    """A picture of `letterbox_size` in the middle of a grey square."""
    across, down = (side - crop.shape[1]) // 2, (side - crop.shape[0]) // 2
    square: Image = np.full((side, side, *crop.shape[2:]), _AROUND, np.uint8)
    square[down : side - down, across : side - across] = crop
    return square


def turned_homography(homography: FloatArray, quarters: int) -> FloatArray:
    """The pose of a target that is turned.

    Args:
        homography: [3, 3], target → frame, normalised.
        quarters: by how many the rectified image is turned clockwise.

    Returns:
        float64 [3, 3], exact: entries only change their places and signs.
    """
    return np.asarray(homography @ np.linalg.matrix_power(_QUARTER, quarters % QUARTERS))


def turned_corners(corners: FloatArray, quarters: int) -> FloatArray:
    """The corners [4, 2] of a target whose rectified image is turned clockwise by so many quarters."""
    return np.roll(corners, quarters, axis=0)


def turn_of(corners: FloatArray) -> int:
    """By how many quarters clockwise the part of the frame that a target fills must be turned to be upright, 0 to 3.

    Args:
        corners: [4, 2], pixels, in the order of the upright target.
    """
    x, y = corners[1] - corners[0] + corners[2] - corners[3]
    return -round(math.atan2(y, x) / (math.pi / 2)) % QUARTERS


def turned_location(location: Location, quarters: int) -> Location:
    """A location whose rectified image is turned further.

    Args:
        location: without an image of the graph's own, of no thin-plate spline. Without a usable pose it stays as it is.
        quarters: clockwise, any whole number.
    """
    if quarters % QUARTERS == 0 or location.theta is None:
        return location
    theta = homography_to_theta(turned_homography(theta_to_homography(location.theta), quarters))
    return replace(location, corners=turned_corners(location.corners, quarters), theta=theta)


def upright(network: TurnNetwork, frame: Image, location: Location) -> Location:
    """A location with its corners in the order of the upright target, as far as the network is sure.

    Args:
        network: says which side is up.
        frame: one that `check_frame` has passed.
        location: with a usable pose, not turned yet.

    Returns:
        The location with ``turn`` and ``turn_score``; ``turn`` is None, and nothing is turned, where it is unsure.
    """
    if location.theta is None:
        return location
    look = network.look(frame, theta_to_homography(location.theta))
    if look.quarters is None:
        return replace(location, turn_score=look.score)
    turned = turned_location(location, look.quarters)
    return replace(turned, turn=turn_of(turned.corners), turn_score=look.score)


def quarters_between(corners: FloatArray, others: FloatArray) -> int:
    """By how many quarters clockwise a target must be turned for its corners to be in the order of other ones.

    Args:
        corners: [4, 2], pixels.
        others: [4, 2], pixels, of the same target a frame earlier, say.

    Returns:
        0 to 3: after it, each corner lies nearest to that of its name, by the sum of squared distances between the
        outlines with their middles on each other.
    """
    ours, theirs = corners - corners.mean(axis=0), others - others.mean(axis=0)
    return int(np.argmin([((turned_corners(ours, k) - theirs) ** 2).sum() for k in range(QUARTERS)]))


class TurnVote:
    """The votes of one target's frames on which side is up: a single doubtful frame turns nothing.

    A target is followed by its corners: where these jump by a quarter from one frame to the next, as those of a target
    that stands on its corner do, the order stays that of the frame before. Make one for each track.
    """

    def __init__(self) -> None:
        self._corners: FloatArray | None = None
        self._votes = np.zeros(QUARTERS)  # by the quarters that would make the order of the frame before upright

    def update(self, location: Location) -> Location:
        """Takes a frame's vote.

        Args:
            location: of this target, as `Rectifier.locate` gives it; without a usable pose it is given back as it is.

        Returns:
            The location in the order of most votes, and ``turn`` with it. Its ``turn_score`` is the share of the votes
            that agree. As long as no frame was sure, ``turn`` stays None, and the score that of the frame.
        """
        if location.theta is None:
            return location
        ahead = 0 if self._corners is None else quarters_between(location.corners, self._corners)
        if location.turn is not None:
            self._votes = self._votes * _FADING
            self._votes[-ahead % QUARTERS] += location.turn_score or 0.0
        best, total = int(self._votes.argmax()), float(self._votes.sum())
        voted = turned_location(location, ahead + best)
        self._corners, self._votes = voted.corners, np.roll(self._votes, -best)
        if not total:
            return voted
        return replace(voted, turn=turn_of(voted.corners), turn_score=float(self._votes[0]) / total)
