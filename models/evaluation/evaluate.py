"""What `stn-train` says of a finished model: the table, after each refinement pass, and the verification sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras

from stn_rectify.models.evaluation.corner_errors import error_table, summarise
from stn_rectify.models.evaluation.known_frames import KnownFrames
from stn_rectify.models.evaluation.refined_pose import find_targets
from stn_rectify.models.evaluation.verification_sheet import FoundPoses, save_sheet
from stn_rectify.models.files import load_model

__all__ = ["evaluate"]

_PASSES = 4  # refinement passes shown, after the scan
_SHEET_PASSES = 3  # of them in the sheet: what a file's Rectifier makes by default


def evaluate(model: keras.Model, file: Path, sets: Sequence[KnownFrames], sheet: Path | None) -> str:
    """Looks for the targets in sets of frames with known corners.

    A scan network ``NAME.keras`` and a refine network ``NAME.refine.keras`` are evaluated together, whichever of them
    was trained, if both are there.

    Args:
        model: trained.
        file: where it is, or will be.
        sets: of frames.
        sheet: where to write the verification sheet; None for none.

    Returns:
        The table.

    Raises:
        DataError: the model is no Spatial Transformer Network, or the sheet cannot be written.
    """
    scan, refine = _networks(model, file)
    if scan is None:
        return f"no tables: a refine network is evaluated with its scan network, {_scan_file(file).name} beside it"
    rows, shown = [], []
    for known in sets:
        by_pass = find_targets(scan, refine, known.frames, passes=_PASSES if refine is not None else 0)
        for number, found in enumerate(by_pass):
            row = summarise(known, found.corners, found.score)
            passes = "" if refine is None else ", 1 pass" if number == 0 else f", {1 + number} passes"
            rows.append(replace(row, name=known.name + passes))
        chosen = by_pass[min(_SHEET_PASSES, len(by_pass) - 1)]
        shown.append((known, [FoundPoses("float", chosen.corners)]))
    if sheet is not None:
        passes = "" if refine is None else f", {1 + _SHEET_PASSES} passes"
        save_sheet(sheet, f"{_scan_file(file).stem}, float{passes}", shown)
        print(f"wrote {sheet.name}", flush=True)
    return error_table(rows)


def _networks(model: keras.Model, file: Path) -> tuple[keras.Model | None, keras.Model | None]:
    """Scan and refine network, of which ``model`` is one."""
    scan_file = _scan_file(file)
    if file != scan_file:
        return (load_model(scan_file) if scan_file.is_file() else None), model
    refine_file = file.with_suffix(".refine.keras")
    return model, load_model(refine_file) if refine_file.is_file() else None


def _scan_file(file: Path) -> Path:
    return file.with_name(file.name.removesuffix(".refine.keras") + ".keras") if _is_refine(file) else file


def _is_refine(file: Path) -> bool:
    return file.name.endswith(".refine.keras")
