"""The evaluation of a trained model: a table with a row for each refinement pass, and the verification sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import keras

from stn_rectify.models.evaluation.known_frames import KnownFrames
from stn_rectify.models.evaluation.refined_pose import find_targets
from stn_rectify.models.evaluation.verification_sheet import FoundPoses, save_sheet
from stn_rectify.models.files import is_refine_file, refine_file_of, scan_file_of
from stn_rectify.models.network.keras_file import load_model
from stn_rectify.runtime.evaluation.corner_errors import error_table, summarise
from stn_rectify.runtime.geometry import THETA_SIZE

_PASSES = 4  # refinement passes shown, after the scan
_SHEET_PASSES = 3  # of them in the sheet: what a file's Rectifier makes by default


@dataclass(frozen=True)
class Evaluation:
    """The results of looking for targets in sets of frames.

    Attributes:
        table: a row for each set of frames and pass.
        title: heading of the sheet.
        shown: each set of frames, and the poses that a file's `Rectifier` would end with.
    """

    table: str
    title: str = ""
    shown: Sequence[tuple[KnownFrames, Sequence[FoundPoses]]] = field(default=(), repr=False)

    def save_sheet(self, file: Path) -> None:
        """Writes the verification sheet.

        Raises:
            DataError: if the file cannot be written.
        """
        save_sheet(file, self.title, self.shown)


def evaluate(model: keras.Model, file: Path, sets: Sequence[KnownFrames]) -> Evaluation:
    """Looks for the targets in sets of frames with known corners.

    A scan network ``NAME.keras`` and a refine network ``NAME.refine.keras`` are evaluated together, whichever of them
    was trained, if both are there.

    Args:
        model: the trained model.
        file: the file that it is in, or will be in.
        sets: the sets of frames.

    Returns:
        The table, and what the verification sheet shows.

    Raises:
        DataError: if the model is no Spatial Transformer Network, or a refine network without its scan network.
    """
    scan_file = scan_file_of(file) if is_refine_file(file) else file
    scan, refine = _networks(model, file, scan_file)
    rows, shown = [], []
    for frame_set in sets:
        by_pass = find_targets(scan, refine, frame_set.frames, passes=_PASSES if refine is not None else 0)
        for number, targets in enumerate(by_pass):
            row = summarise(frame_set, targets.corners, targets.score)
            passes = "" if refine is None else ", 1 pass" if number == 0 else f", {1 + number} passes"
            rows.append(replace(row, name=frame_set.name + passes))
        chosen = by_pass[min(_SHEET_PASSES, len(by_pass) - 1)]
        shown.append((frame_set, [FoundPoses("float", chosen.corners)]))
    passes = "" if refine is None else f", {1 + _SHEET_PASSES} passes"
    return Evaluation(error_table(rows), f"{scan_file.stem}, float{passes}", shown)


def can_be_evaluated(file: Path) -> bool:
    """Tells whether a network can be evaluated: a refine network cannot without the scan network that it corrects."""
    return not is_refine_file(file) or scan_file_of(file).is_file()


def _networks(model: keras.Model, file: Path, scan_file: Path) -> tuple[keras.Model, keras.Model | None]:
    """Scan and refine network, of which ``model`` is one."""
    if file != scan_file:
        return load_model(scan_file), model
    refine_file = refine_file_of(file)
    if not refine_file.is_file() or model.get_layer("theta").output.shape[1] == THETA_SIZE["tps"]:
        return model, None  # there is no refining a spline
    return model, load_model(refine_file)
