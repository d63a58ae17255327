"""Which side of a target is up: a network looks at it as rectified, and what was found is turned by quarters.

Corners that a localization network gives are in the order of the picture: the first one is that nearest to its upper
left. Of a page photographed sideways the rectified image then lies on its side. The turn network says by how many
quarters it must be turned; where nothing tells, it is unsure, and nothing is turned.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.geometry import theta_to_homography
from stn_rectify.runtime.model.interpreter import Interpreter
from stn_rectify.runtime.model.labels import class_probabilities
from stn_rectify.runtime.model.metadata import TurnSpec
from stn_rectify.runtime.model.model_file import TURN_SIGNATURE
from stn_rectify.runtime.rectifying.pixels.preprocess import Preprocessor
from stn_rectify.runtime.rectifying.pixels.pyramid import FramePyramid
from stn_rectify.runtime.rectifying.refining.target_looks import target_looks
from stn_rectify.runtime.rectifying.refining.turning import QUARTERS, turn_of, turned_location
from stn_rectify.runtime.results import Location

#: Further details of a target are looked at until the probability of one turn reaches this, or that it is upright that:
#: then nothing is changed, and most targets need one look.
_SURE, _UPRIGHT = 0.99, 0.95
#: What a single look may say against a turn at most: it may show print that stands on its head on purpose.
_LEAST_PROBABILITY = 0.005
#: What each further look counts, as an exponent: those at one target are of one print, and mistake it in one way.
_FURTHER_LOOK = 0.5
#: Before any look, as the logarithm: most targets that a camera is shown are upright, and fewest stand on their heads.
_EXPECTED = np.array([0.0, -1.0, -2.0, -1.0])


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
        interpreter.prepare_signature(TURN_SIGNATURE, spec.input)

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
        spec = self._spec
        is_grey = spec.input.colour == "GREY"
        looks = target_looks(frame, homography, spec.input.width, spec.details, grey=is_grey, pyramid=self._pyramid)
        return joint_probabilities(map(self._probabilities, looks))

    def _probabilities(self, look: Image) -> FloatArray:
        levels = self._interpreter.run_signature(TURN_SIGNATURE, self._preprocessor.network_input(look))["scores"][0]
        scores = self._spec.scores
        return class_probabilities((levels.astype(np.float64) - scores.zero_point) * scores.scale, scores.activation)


def joint_probabilities(looks: Iterable[FloatArray]) -> FloatArray:
    """What the looks at one target say together.

    Args:
        looks: probabilities of the four turns, float64 [4] each, one or more. Once they are sure, no more are taken.

    Returns:
        float64 [4]: what is expected before any look times the looks' probabilities, tempered and normalised.
    """
    evidence, joint, share = _EXPECTED, np.zeros(QUARTERS), 1.0
    for probabilities in looks:
        evidence, share = evidence + share * np.log(np.maximum(probabilities, _LEAST_PROBABILITY)), _FURTHER_LOOK
        product = np.exp(evidence - evidence.max())
        joint = product / product.sum()
        if joint.max() >= _SURE or joint[0] >= _UPRIGHT:
            break
    return joint


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
