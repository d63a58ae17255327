"""Looks everywhere in a frame at once: a dense network over a pyramid of it.

Each level shows the whole frame, stretched to the level's size, to the same weights, in a subgraph of its own. A level
finds targets of some sizes; all levels together, small ones as well as one that fills the frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.model.interpreter import Interpreter
from stn_rectify.runtime.model.metadata import DenseSpec, InputSpec, LevelSpec
from stn_rectify.runtime.rectifying.pixels.preprocess import Preprocessor
from stn_rectify.runtime.rectifying.pixels.pyramid import FramePyramid
from stn_rectify.runtime.rectifying.searching.candidates import Candidate, decode, thinned

#: How closely a dense network looks at a frame.
Scan = Literal["fast", "full", "fine"]

#: The longest side, pixels, of the levels that a setting of ``scan`` looks at.
SCANS: dict[Scan, float] = {"fast": 160, "full": 320, "fine": math.inf}

#: More candidates than these are not handed on.
MAX_CANDIDATES = 32

#: From this longest side on, pixels of a level, the next coarser one finds a target as well. (`stn-train dense` teaches
#: a level sides from 11 to 120 pixels.)
LARGE_SIDE_PX = 90.0


def is_large_for(level: LevelSpec, corners: FloatArray, frame: Image) -> bool:
    """Tells whether a target is so large that a level is not needed to find it, see `LARGE_SIDE_PX`.

    Args:
        level: it shows the whole frame, stretched to its size.
        corners: float64 [4, 2], frame pixels.
        frame: [H, W] or [H, W, C].
    """
    edges = (corners - corners[[1, 2, 3, 0]]) * (level.width / frame.shape[1], level.height / frame.shape[0])
    return bool(np.hypot(edges[:, 0], edges[:, 1]).max() >= LARGE_SIDE_PX)


def levels_to_scan(dense: DenseSpec, scan: Scan) -> tuple[LevelSpec, ...]:
    """The levels that a setting looks at, finest first; the coarsest one always.

    Args:
        dense: what the file says.
        scan: one of `SCANS`.
    """
    longest = [max(level.width, level.height) for level in dense.levels]
    limit = max(SCANS[scan], min(longest))
    return tuple(level for level, side in zip(dense.levels, longest, strict=True) if side <= limit)


class DenseScan:
    """The dense network of a model file, in the interpreter that holds the file.

    Args:
        dense: what the file says of it.
        spec: the input of its first level: colour, range and quantization are those of all.
        interpreter: holds the file.
        pyramid: one that holds every frame that is scanned, if it has no more than four channels.
        scan: the levels to look at, one of `SCANS`.
        least_score: cells with a lower score are not looked at, 0 to 1.

    Raises:
        ModelFileError: if the interpreter cannot run one of these levels.
    """

    def __init__(
        self,
        dense: DenseSpec,
        spec: InputSpec,
        interpreter: Interpreter,
        pyramid: FramePyramid,
        *,
        scan: Scan = "full",
        least_score: float,
    ) -> None:
        self._dense, self._interpreter, self._pyramid = dense, interpreter, pyramid
        self._least_score = least_score
        self._levels: list[tuple[LevelSpec, Preprocessor]] = []
        for level in levels_to_scan(dense, scan):
            frame = msgspec.structs.replace(spec, height=level.height, width=level.width)
            interpreter.prepare_signature(level.signature, frame)
            self._levels.append((level, Preprocessor(frame)))

    @property
    def levels(self) -> tuple[LevelSpec, ...]:
        """The levels that are looked at, finest first."""
        return tuple(level for level, _ in self._levels)

    @property
    def least_score(self) -> float:
        """What has a lower score is not looked at, 0 to 1."""
        return self._least_score

    def candidates(self, frame: Image) -> list[Candidate]:
        """Finds where targets may be.

        Args:
            frame: one that `check_frame` has passed, and that the pyramid holds.

        Returns:
            At most `MAX_CANDIDATES`, best first, thinned (`stn_rectify.runtime.rectifying.searching.candidates`).
        """
        return self._seen(frame, [self._look(frame, number) for number in range(len(self._levels))])

    def from_coarse_to_fine(self, frame: Image) -> Iterator[tuple[list[Candidate], LevelSpec | None]]:
        """Finds where targets may be in one level after the other, each of which costs four times the one before it.

        Args:
            frame: as for `candidates`.

        Yields:
            What `candidates` would return of the coarsest level, of the two coarsest ones, and so on; and the level
            that is next, None after the finest one.
        """
        outputs: list[Mapping[str, npt.NDArray[np.int8]]] = []
        for number in reversed(range(len(self._levels))):
            outputs.insert(0, self._look(frame, number))
            yield self._seen(frame, outputs), self._levels[number - 1][0] if number else None

    def _look(self, frame: Image, number: int) -> Mapping[str, npt.NDArray[np.int8]]:
        level, preprocessor = self._levels[number]
        seen = preprocessor.network_input(frame, self._pyramid)
        return self._interpreter.run_signature(level.signature, seen)

    def _seen(self, frame: Image, outputs: list[Mapping[str, npt.NDArray[np.int8]]]) -> list[Candidate]:
        frame_size = (frame.shape[1], frame.shape[0])
        found = decode(outputs, self._dense, frame_size=frame_size, min_score=self._least_score)
        return [found[number] for number in thinned(found, MAX_CANDIDATES)]
