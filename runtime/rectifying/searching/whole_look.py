"""A look at the whole frame beside a dense scan: two networks that were trained apart, which agree or do not.

The network of one look was trained on frames with one dominant target, and finds one in nearly every frame. Where the
dense scan sees a target in the same place, both together are surer than the scan alone, and the target wins over what
is printed on it; that costs no further pass. Where the scan sees none, what the look found is one more candidate, whose
score counts less: in photographs of cars it is a bonnet or a grille.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.geometry import is_valid_quadrilateral, theta_to_corners
from stn_rectify.runtime.model.interpreter import Interpreter
from stn_rectify.runtime.model.metadata import WholeSpec
from stn_rectify.runtime.model.model_file import WHOLE_SIGNATURE
from stn_rectify.runtime.rectifying.pixels.preprocess import Preprocessor
from stn_rectify.runtime.rectifying.pixels.pyramid import FramePyramid
from stn_rectify.runtime.rectifying.searching.candidates import Candidate, overlap

#: Two networks mean the same target if their quadrilaterals have this share of the area of both in common.
AGREEMENT_OVERLAP = 0.5


class WholeLook:
    """The network of a dense file that sees the whole frame, in the interpreter that holds the file.

    Args:
        spec: what the file says of it.
        interpreter: holds the file.
        pyramid: one that holds every frame that is looked at, if it has no more than four channels.

    Raises:
        ModelFileError: if the interpreter cannot run it.
    """

    def __init__(self, spec: WholeSpec, interpreter: Interpreter, pyramid: FramePyramid) -> None:
        self._spec, self._interpreter, self._pyramid = spec, interpreter, pyramid
        self._preprocessor = Preprocessor(spec.input)
        interpreter.prepare_signature(WHOLE_SIGNATURE, spec.input)

    @property
    def weight(self) -> float:
        """What its scores count beside those of the dense network, above 0 to 1."""
        return self._spec.weight

    def candidate(self, frame: Image) -> Candidate | None:
        """Finds where the target is that the frame shows above all.

        Args:
            frame: one that `check_frame` has passed, and that the pyramid holds.

        Returns:
            With the network's own score; None where the pose is no quadrilateral that `is_valid_quadrilateral` passes.
        """
        spec = self._spec
        seen = self._preprocessor.network_input(frame, self._pyramid)
        outputs = self._interpreter.run_signature(WHOLE_SIGNATURE, seen)
        corners = theta_to_corners(spec.theta.value(outputs["theta"][0]), frame.shape[1], frame.shape[0])
        if not is_valid_quadrilateral(corners):
            return None
        score = 1.0 if spec.score is None else spec.score.value(int(outputs["score"][0, 0]))
        return Candidate(corners, score)


def with_look(
    candidates: Sequence[Candidate], look: Candidate, weight: float, least_score: float = 0.0
) -> list[Candidate]:
    """The candidates of a dense scan, after a look at the whole frame.

    Of the candidates that the look agrees with (`AGREEMENT_OVERLAP`), the surest gets the geometric mean of both
    scores, if that is more than its own; its corners stay, which a dense network places as well. Where there is none,
    the look is a candidate itself, its score times ``weight``.

    Args:
        candidates: of the scan.
        look: what `WholeLook.candidate` found.
        weight: 0 to 1.
        least_score: with a lower score the look is no candidate.

    Returns:
        Best first; of equal scores the earlier one first.
    """
    together = list(candidates)
    agreeing = [
        number for number, one in enumerate(together) if overlap(one.corners, look.corners) >= AGREEMENT_OVERLAP
    ]
    if agreeing:
        surest = max(agreeing, key=lambda number: together[number].score)
        both = math.sqrt(together[surest].score * look.score)
        together[surest] = replace(together[surest], score=max(together[surest].score, both))
    elif weight * look.score >= least_score:
        together.append(Candidate(look.corners, weight * look.score))
    return sorted(together, key=lambda candidate: -candidate.score)
