"""Several targets in a frame: candidates of a dense scan, each looked at by the refine network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.geometry import corners_to_homography, homography_to_corners
from stn_rectify.runtime.model.metadata import LevelSpec
from stn_rectify.runtime.rectifying.refining.refinement import CropReader, final_score, most_moved, refine_pose
from stn_rectify.runtime.rectifying.searching.candidates import Candidate, thinned
from stn_rectify.runtime.rectifying.searching.dense_scan import DenseScan, is_large_for
from stn_rectify.runtime.rectifying.searching.whole_look import WholeLook, with_look
from stn_rectify.runtime.results import FOUND_SCORE

#: Candidates of the scan beyond the number of targets that get a pass: on photographs of cars the plate was among the
#: best three.
_SPARE = 2
#: A small target gets no further pass if the first one moved no corner by more than this share of its mean diagonal.
_SETTLED = 0.08
#: Where one target is asked for, and the frame shows several, it is the one that stands out: by its score times its
#: share of the frame to this power. One wins over another of a tenth of its area that is up to a fifth surer.
_PROMINENCE = 0.08
#: The frame's pixels along the shortest edge of a target that is not small. The crop of a smaller one has few pixels of
#: the frame for each of its own, and a supersampled one no more to tell.
_LARGE_PX = 100.0


@dataclass(frozen=True, eq=False)
class Found:
    """A target.

    Attributes:
        homography: float64 [3, 3], target → frame, normalised.
        corners: float64 [4, 2], frame pixels, a quadrilateral that `is_valid_quadrilateral` passes.
        score: 0 to 1, of both networks together.
    """

    homography: FloatArray
    corners: FloatArray
    score: float


@dataclass(frozen=True, eq=False)
class _Looked:
    """A candidate after its first pass; ``settled``: another one would not, or cannot, make it better."""

    scan_score: float
    found: Found
    settled: bool


class DenseSearch:
    """Finds the targets of frames.

    A target's score is the product of the scan's and the refine network's, so no candidate can end above its own: once
    as many as are wanted have a higher one, the rest get no pass. The passes after the first are made for those alone
    that are returned, and of small ones, of which a frame may show many, only where the first one has moved a corner by
    more than a little.

    Args:
        scan: finds candidates.
        network: looks at them; None to take them as they are.
        passes: refinement passes of each target, at most.
        further: passes of a large target beyond those, at most, as long as it moves.
        found_score: from which on a target counts as found, 0 to 1.
        whole: a look at the whole frame, which makes the scan surer, or finds what it has missed; None for none.
    """

    def __init__(
        self,
        scan: DenseScan,
        network: CropReader | None,
        passes: int,
        *,
        further: int = 0,
        found_score: float = FOUND_SCORE,
        whole: WholeLook | None = None,
    ) -> None:
        self._further = further
        self._scan, self._network, self._passes, self._whole = scan, network if passes else None, passes, whole
        self._found_score = found_score

    def find(self, frame: Image, max_targets: int) -> list[Found]:
        """Finds the targets of a frame.

        Args:
            frame: one that `check_frame` has passed, and that the scan's pyramid holds.
            max_targets: how many at most, 1 or more. If it is 1, the one that stands out: of those that count as found,
                or of all where none does, the one with the most of score and size.

        Returns:
            Best first; empty where the scan sees nothing.
        """
        look = None if self._whole is None else self._whole.candidate(frame)
        if max_targets == 1:
            return self._find_one(frame, look)
        scanned = self._scan.candidates(frame)
        candidates = self._with_look(look, scanned)
        most = max_targets + _SPARE + len(candidates) - len(scanned)  # a look takes no candidate of the scan its pass
        network = self._network
        if network is None:
            kept = [candidates[number] for number in thinned(candidates, max_targets)]
            return [_unrefined(frame, candidate) for candidate in kept]
        looked = self._first_passes(network, frame, candidates[:most], max_targets)
        stay = thinned([_as_candidate(one.found) for one in looked], max_targets)
        found = [self._finished(network, frame, looked[number]) for number in stay]
        return [found[number] for number in thinned([_as_candidate(one) for one in found])]

    def _prominence(self, frame: Image, one: Candidate | Found) -> tuple[bool, float]:
        """What stands out has the greatest; a candidate gains by a pass at most in size, which hardly changes."""
        share = cv2.contourArea(one.corners.astype(np.float32)) / (frame.shape[0] * frame.shape[1])
        return one.score >= self._found_score, one.score * min(share, 1.0) ** _PROMINENCE

    def _find_one(self, frame: Image, look: Candidate | None) -> list[Found]:
        """The target that stands out, in a list; empty if there is no candidate.

        Each level of the scan costs four times the one before it. So the finer ones are left out where a target that
        counts as found is among the largest that they find, or larger.
        """
        best = None
        for scanned, finer in self._scan.from_coarse_to_fine(frame):
            candidates = self._with_look(look, scanned)
            if finer is not None and not any(self._is_beyond(finer, frame, one) for one in candidates):
                continue
            best = self._best(frame, candidates, 1 + _SPARE + len(candidates) - len(scanned))
            if finer is not None and best is not None and self._is_beyond(finer, frame, best.found):
                break
        if best is None or self._network is None:
            return [] if best is None else [best.found]
        return [self._finished(self._network, frame, best)]

    def _is_beyond(self, finer: LevelSpec, frame: Image, one: Candidate | Found) -> bool:
        """Tells whether a target is surely one, and as large as what a finer level finds, or larger."""
        return one.score >= self._found_score and is_large_for(finer, one.corners, frame)

    def _best(self, frame: Image, candidates: Sequence[Candidate], most: int) -> _Looked | None:
        """What stands out among the candidates, ``most`` of which get a pass; None if there are none."""
        network, best = self._network, None
        ordered = sorted(candidates, key=lambda one: self._prominence(frame, one), reverse=True)
        if network is None:
            return _Looked(ordered[0].score, _unrefined(frame, ordered[0]), True) if ordered else None
        for candidate in ordered[:most]:
            if best is not None and self._prominence(frame, best.found) >= self._prominence(frame, candidate):
                break
            looked = self._first_pass(network, frame, candidate)
            if best is None or self._prominence(frame, looked.found) > self._prominence(frame, best.found):
                best = looked
        return best

    def _with_look(self, look: Candidate | None, scanned: list[Candidate]) -> list[Candidate]:
        """Where targets may be, best first, after a look at the whole frame."""
        if self._whole is None or look is None:
            return scanned
        return with_look(scanned, look, self._whole.weight, self._scan.least_score)

    def _first_passes(
        self, network: CropReader, frame: Image, candidates: Sequence[Candidate], max_targets: int
    ) -> list[_Looked]:
        """One pass for every candidate that may be among the best, best first by the scan's score."""
        looked: list[_Looked] = []
        for candidate in candidates:
            if len(looked) >= max_targets:
                best = thinned([_as_candidate(one.found) for one in looked], max_targets)
                if len(best) == max_targets and looked[best[-1]].found.score >= candidate.score:
                    break
            looked.append(self._first_pass(network, frame, candidate))
        return looked

    def _first_pass(self, network: CropReader, frame: Image, candidate: Candidate) -> _Looked:
        start = found_at(frame, candidate.corners, candidate.score)
        is_last = self._passes == 1 and _is_large(start.corners)
        pose = refine_pose(network, frame, start.homography, 1, is_last=is_last)
        score = final_score(candidate.score, pose.score)
        if not pose.passes:
            return _Looked(candidate.score, Found(start.homography, start.corners, score), True)
        corners = homography_to_corners(pose.homography, frame.shape[1], frame.shape[0])
        settled = self._passes == 1 or (not _is_large(corners) and most_moved(start.corners, corners) <= _SETTLED)
        return _Looked(candidate.score, Found(pose.homography, corners, score), settled)

    def _finished(self, network: CropReader, frame: Image, looked: _Looked) -> Found:
        """The target after the rest of its passes."""
        if looked.settled:
            return looked.found
        is_last = _is_large(looked.found.corners)
        further = self._further if is_last else 0
        pose = refine_pose(network, frame, looked.found.homography, self._passes - 1, further=further, is_last=is_last)
        corners = homography_to_corners(pose.homography, frame.shape[1], frame.shape[0])
        score = looked.found.score if pose.score is None else final_score(looked.scan_score, pose.score)
        return Found(pose.homography, corners, score)


def _is_large(corners: FloatArray) -> bool:
    """Tells whether a target gets all passes, the last one with a supersampled crop; see `_LARGE_PX`."""
    edges = corners - corners[[1, 2, 3, 0]]
    return bool(np.hypot(edges[:, 0], edges[:, 1]).min() >= _LARGE_PX)


def found_at(frame: Image, corners: FloatArray, score: float) -> Found:
    """A target where somebody else says that it is.

    Args:
        frame: [H, W] or [H, W, C].
        corners: float64 [4, 2], frame pixels, a quadrilateral that `is_valid_quadrilateral` passes.
        score: of it.
    """
    return Found(corners_to_homography(corners, frame.shape[1], frame.shape[0]), corners, score)


def _unrefined(frame: Image, candidate: Candidate) -> Found:
    return found_at(frame, candidate.corners, candidate.score)


def _as_candidate(found: Found) -> Candidate:
    return Candidate(found.corners, found.score)
