"""A refine network on its way into a model file: read, checked, assembled as a pose-only network."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stn_rectify.converters.assembly import Assembly, assemble
from stn_rectify.converters.file_metadata import refine_metadata
from stn_rectify.converters.proof.proof import NetworkReference
from stn_rectify.converters.reading.calibration import FrameSet, read_frames
from stn_rectify.converters.reading.refine_files import refine_calibration, refine_file
from stn_rectify.converters.reading.stn_parts import StnParts
from stn_rectify.converters.reading.stn_source import read_stn
from stn_rectify.converters.report.comparison import compare
from stn_rectify.converters.report.refine_report import RefineReport
from stn_rectify.runtime.errors import DataError, ModelFileError
from stn_rectify.runtime.model.metadata import MAX_MARGIN, RefineSpec
from stn_rectify.runtime.model.model_file import ModelFile
from stn_rectify.runtime.rectifying.crops import REFINE_MARGIN

__all__ = ["AssembledRefine", "RefineStn", "read_refine"]


@dataclass(frozen=True)
class RefineStn:
    """A refine network as it was read.

    Attributes:
        source: the .keras file.
        parts: what it was taken apart into.
        calibration: crops as it sees them, their corners in crop pixels.
        margin: of the crops that it was trained with, as a share of the target's side.
    """

    source: Path
    parts: StnParts = field(repr=False)
    calibration: FrameSet = field(repr=False)
    margin: float

    def assemble(self, value_range: tuple[float, float], passes: int, *, refit: bool) -> AssembledRefine:
        """The same in integers, without a sampler.

        Args:
            value_range: what pixel values 0 and 255 are to it.
            passes: how many a `Rectifier` makes unasked.
            refit: whether θ is fitted to the quantized features (`head_refit`).

        Raises:
            ModelFileError: a part cannot become integers; names the file.
        """
        try:
            assembly = assemble(self.parts, self.calibration, value_range, pose_only=True, refit=refit)
        except ModelFileError as error:
            raise ModelFileError(f"{self.source}: {error}") from error
        return AssembledRefine(self, assembly, passes)


@dataclass(frozen=True)
class AssembledRefine:
    """A refine network in integers, unproved.

    Attributes:
        stn: what it was made from.
        assembly: its flatbuffer, and what the proof needs of it.
        passes: how many a `Rectifier` makes unasked.
    """

    stn: RefineStn
    assembly: Assembly
    passes: int

    def metadata(self) -> RefineSpec:
        """What metadata.json says under ``refine``."""
        stn = self.stn
        return refine_metadata(
            stn.parts, self.assembly, self.assembly.value_range, margin=stn.margin, passes=self.passes
        )

    def reference(self, frames: int) -> NetworkReference:
        """What it should compute, on so many of its calibration crops."""
        crops = self.assembly.quantize_frames(self.stn.calibration.frames[:frames])
        return NetworkReference(self.assembly.head, None, crops)

    def report(self, written: ModelFile) -> RefineReport:
        """What the report says of it, measured on the file."""
        stn, calibration = self.stn, self.stn.calibration
        crops = self.assembly.quantize_frames(calibration.frames)
        comparison = compare(written, stn.parts, calibration, crops, refine=True)
        readout = self.assembly.refit.table()
        return RefineReport(stn.source, stn.margin, self.passes, self.assembly.cost, readout, comparison)


def read_refine(source: Path, scan: StnParts, value_range: tuple[float, float]) -> RefineStn | None:
    """Reads the refine network beside a model and its calibration frames.

    Args:
        source: the model.
        scan: what the model was taken apart into.
        value_range: what pixel values 0 and 255 are to both.

    Returns:
        None if there is none.

    Raises:
        DataError: its file or frames are missing or cannot be read.
        ModelFileError: it is no STN that can be converted, or does not fit the model.
    """
    file = refine_file(source)
    if file is None:
        return None
    frames = refine_calibration(file)
    if not frames.is_file():
        raise DataError(
            f"{file} needs {frames.name} beside it, crops to calibrate it with (stn-train writes them); to convert "
            f"{source.name} alone move it away"
        )
    parts = read_stn(file)
    _check_fit(file, parts, scan)
    return RefineStn(file, parts, read_frames(frames, parts.frame_shape, value_range), _margin(frames))


def _check_fit(file: Path, parts: StnParts, scan: StnParts) -> None:
    if parts.transform != "projective":
        raise ModelFileError(f"{file}: its transform is {parts.transform}, but a refine network's must be projective")
    if scan.transform == "tps":
        raise ModelFileError(f"{file}: the model is a thin-plate spline (tps), whose poses cannot be refined")
    if parts.classes is not None:
        raise ModelFileError(f"{file}: a recognizer follows its sampler; save the STN alone as the refine network")
    images = (1, 3)  # grey and RGB can be made of each other, other channels cannot
    if parts.channels != scan.channels and not (parts.channels in images and scan.channels in images):
        raise ModelFileError(f"{file}: reads {parts.channels} channels, the model {scan.channels}; they must agree")


def _margin(frames: Path) -> float:
    """The number ``margin`` in the file of frames, if it is there."""
    with np.load(frames) as stored:
        margin = stored["margin"] if "margin" in stored else np.float64(REFINE_MARGIN)
    if margin.shape != () or not np.issubdtype(margin.dtype, np.floating) or not 0 <= margin <= MAX_MARGIN:
        raise DataError(f"{frames}: margin is {margin.tolist()!r:.60}, expected one number from 0 to {MAX_MARGIN:g}")
    return float(margin)
