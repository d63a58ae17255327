"""From a Keras model to a proved model file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from stn_rectify.converters.assembly import Assembly, assemble
from stn_rectify.converters.conversion_options import ConversionOptions
from stn_rectify.converters.file_metadata import file_metadata
from stn_rectify.converters.proof.proof import Check, Proof, prove
from stn_rectify.converters.reading.calibration import (
    VALIDATION_FRAMES,
    FrameSet,
    calibration_warnings,
    read_frames,
    refuse_unknown_labels,
)
from stn_rectify.converters.reading.stn_parts import StnParts
from stn_rectify.converters.reading.stn_source import output_name, read_stn
from stn_rectify.converters.refine_network import AssembledRefine, read_refine
from stn_rectify.converters.report.comparison import Comparison, compare
from stn_rectify.converters.report.contents import report_dict
from stn_rectify.converters.report.delegation import Delegation, find_delegations
from stn_rectify.converters.report.files import write_report
from stn_rectify.converters.report.latency import Latency, measure_latencies
from stn_rectify.converters.report.pictures import AlignmentPicture, FramePicture, take_alignment, take_pictures
from stn_rectify.converters.report.refine_report import RefineReport
from stn_rectify.converters.report.thresholds import gate
from stn_rectify.converters.tflite.joining import join_subgraph
from stn_rectify.converters.tflite.packing import pack
from stn_rectify.models.files import sha256_of
from stn_rectify.models.network.cost import StnCost
from stn_rectify.runtime.errors import DataError, ModelFileError, UsageError
from stn_rectify.runtime.geometry import theta_to_corners
from stn_rectify.runtime.model.model_file import REFINE_SIGNATURE, ModelFile

__all__ = ["Conversion", "ConversionOptions", "convert"]

_PROOF_FRAMES = 50
_LEAST_MOVE_PX = 0.01  # corners that stay within this over all frames do not depend on them
_MOST_LEVELS = 2.5  # docs/integer-sampler.md


@dataclass(frozen=True)
class Conversion:
    """A finished conversion.

    Attributes:
        path: the model file.
        size_bytes: of the file.
        proof: what was proved of it.
        comparison: against the Keras model.
        latencies: beside the float32 twin of the same model, in each installed interpreter; empty if not measured.
        theta_readout: with the trained head and with the refitted one: corner errors, and which is in the file.
        cost: of the converted model.
        refine: what was found of its refine network; None for a model without one.
    """

    path: Path
    size_bytes: int
    proof: Proof
    comparison: Comparison
    latencies: Sequence[Latency]
    theta_readout: list[dict[str, Any]] = field(repr=False)
    cost: StnCost = field(repr=False)
    refine: RefineReport | None = None


def convert(source: Path, out: Path, options: ConversionOptions) -> Conversion:
    """Converts one .keras file or SavedModel folder to ``out/NAME.tflite``, with its report.

    A ``NAME.refine.keras`` beside ``NAME.keras`` goes into the same file (`reading.refine_files`).

    The model is written to a temporary name, read back, proved and only then renamed. The interpreter runs in a
    spawned process: a script that calls this needs ``if __name__ == "__main__":``.

    Raises:
        UsageError: an output exists without ``overwrite`` or cannot be written; options contradict the model.
        DataError: the model or the frames cannot be read.
        ModelFileError: the model cannot be converted, or the proof failed; then only the report is written.
    """
    try:
        return _convert(source, out, options)
    except OSError as error:
        what = f"cannot write {error.filename or out}: {error.strerror or error}"
        raise UsageError(f"{what}; choose another --out or make room") from error


def _convert(source: Path, out: Path, options: ConversionOptions) -> Conversion:
    name = output_name(source)
    target = out / f"{name}.tflite"
    if target.exists() and not options.overwrite:
        raise UsageError(f"{target} exists: give --overwrite to replace it, or another --out")
    with _reading(source):
        parts = read_stn(source)
        refine = read_refine(source, parts, options.value_range)
        sha256 = sha256_of(source)
        _check_options(source, parts, options)
        calibration = known = read_frames(options.calibration, parts.frame_shape, options.value_range)
        if options.validation is not None:
            known = read_frames(options.validation, parts.frame_shape, options.value_range, VALIDATION_FRAMES)
        refuse_unknown_labels(options.validation or options.calibration, known, parts.classes)
    assembly = assemble(parts, calibration, options.value_range, pose_only=options.pose_only, refit=options.refit_head)
    flatbuffer, second = assembly.flatbuffer, None
    if refine is not None:
        second = refine.assemble(options.value_range, options.refine_passes, refit=options.refit_head)
        flatbuffer = join_subgraph(flatbuffer, second.assembly.flatbuffer, REFINE_SIGNATURE)
    refine_entry = None if second is None else second.metadata()
    metadata = file_metadata(
        name, options.description, parts, assembly, options.value_range, sha256, flatbuffer, refine_entry
    )
    out.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".tflite.partial")
    try:
        partial.write_bytes(pack(flatbuffer, metadata, options.labels))
        written = ModelFile.open(partial)
        frames = assembly.quantize_frames(calibration.frames[:_PROOF_FRAMES])
        crops = None if second is None else second.reference(_PROOF_FRAMES)
        proof = prove(written.flatbuffer, assembly.head, assembly.plan, frames, assembly.recognizer, crops)
        evaluation = None
        if proof.passed:
            evaluation = _evaluate(written, parts, known, assembly, second, options)
            proof = replace(proof, checks=(*proof.checks, *_comparison_checks(evaluation.comparison)))
        warnings = calibration_warnings(calibration)
        if evaluation is not None:
            warnings += _pose_warnings(parts, known, evaluation.comparison)
        if refine is not None:
            about = calibration_warnings(refine.calibration)
            if evaluation is not None and evaluation.refine is not None:
                about += _pose_warnings(refine.parts, refine.calibration, evaluation.refine.comparison)
            warnings += [f"refine network: {warning}" for warning in about]
        failures = _report(source, out, options, written, assembly, proof, evaluation, warnings)
        if evaluation is None or failures:
            raise ModelFileError(f"{source}: {failures}")
        size = partial.stat().st_size
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    readout = assembly.refit.table()
    return Conversion(
        target, size, proof, evaluation.comparison, evaluation.latencies, readout, assembly.cost, evaluation.refine
    )


@contextmanager
def _reading(source: Path) -> Iterator[None]:
    """What the system cannot read is not taken for a file that cannot be written."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{error.filename or source} cannot be read: {error.strerror or error}") from error


@dataclass(frozen=True)
class _Evaluation:
    """What is measured of a proved file."""

    comparison: Comparison
    thresholds: list[Check]
    pictures: Sequence[FramePicture]
    alignment: Sequence[AlignmentPicture]
    delegations: list[Delegation]
    latencies: Sequence[Latency]
    refine: RefineReport | None


def _evaluate(
    written: ModelFile,
    parts: StnParts,
    known: FrameSet,
    assembly: Assembly,
    second: AssembledRefine | None,
    options: ConversionOptions,
) -> _Evaluation:
    quantized = assembly.quantize_frames(known.frames)
    comparison = compare(written, parts, known, quantized)
    refine = None if second is None else second.report(written)
    thresholds = gate(comparison, options.max_corner_error, options.min_coverage)
    if refine is not None:
        checks = gate(refine.comparison, options.max_corner_error, None)
        thresholds += [replace(check, name=f"refine network: {check.name}") for check in checks]
    return _Evaluation(
        comparison,
        thresholds,
        take_pictures(written, parts, known, comparison),
        take_alignment(written, parts, known, comparison),
        find_delegations(written.flatbuffer),
        measure_latencies(written, parts, known.frames, quantized) if options.latency else [],
        refine,
    )


def _report(
    source: Path,
    out: Path,
    options: ConversionOptions,
    written: ModelFile,
    assembly: Assembly,
    proof: Proof,
    evaluation: _Evaluation | None,
    warnings: Sequence[str],
) -> str:
    """Writes the report; returns what failed, in one line."""
    measured: dict[str, Any] = {}
    if evaluation is not None:
        measured = {
            f.name: getattr(evaluation, f.name) for f in fields(evaluation) if f.name not in ("pictures", "alignment")
        }
    report = report_dict(
        source,
        written,
        proof,
        assembly.cost,
        theta_readout=assembly.refit.table(),
        metadata=msgspec.to_builtins(written.metadata),
        options=asdict(options),
        compared_on="the calibration frames" if options.validation is None else "the validation frames",
        warnings=warnings,
        **measured,
    )
    images = () if evaluation is None else (evaluation.pictures, evaluation.alignment)
    write_report(out, report, *images)
    return "; ".join(report["failures"])


def _check_options(source: Path, parts: StnParts, options: ConversionOptions) -> None:
    if options.pose_only and parts.classes is not None:
        raise UsageError(
            f"{source}: --pose-only leaves the sampler out, but a recognizer follows it; save the STN alone"
        )
    if parts.classes is not None and options.labels and len(options.labels) != parts.classes:
        raise UsageError(f"{source}: --labels has {len(options.labels)} lines, its recognizer {parts.classes} classes")


def _pose_warnings(parts: StnParts, known: FrameSet, comparison: Comparison) -> list[str]:
    theta = comparison.outputs.theta_float
    corners = theta_to_corners(theta, parts.input_size[1], parts.input_size[0])
    if (known.frames == known.frames[:1]).all() or np.ptp(corners, axis=0).max() > _LEAST_MOVE_PX:
        return []
    return [
        "theta is the same for every frame: an untrained model, or pixel values in another range than it was trained "
        "with (--value-range)"
    ]


def _comparison_checks(comparison: Comparison) -> list[Check]:
    if comparison.levels_max is None:
        return []
    found = f"at most {comparison.levels_max:.1f} levels of 255 on {comparison.frames} frames"
    return [Check("sampler against float64", comparison.levels_max <= _MOST_LEVELS, found)]


def summary_line(conversion: Conversion) -> str:
    """One line for a person."""
    c = conversion.comparison
    said = [
        "proved all-integer",
        f"{conversion.size_bytes / 1000:.0f} KB{'' if conversion.refine is None else ', 2 networks'}",
        f"corner error float→INT8 {c.corners_mean_px:.2f} px mean, {c.corners_max_px:.2f} max",
    ]
    if conversion.refine is not None:
        r = conversion.refine.comparison
        said.append(f"refine network {r.corners_mean_px:.2f} px mean, {r.corners_max_px:.2f} max")
    if c.class_scores is not None:
        said.append(f"same class in {100 * c.class_scores.top1_agreement:.1f} %")
    speeds = [f"{timed.speed:.1f}x" for timed in conversion.latencies if timed.speed is not None]
    if speeds:
        said.append(f"{', '.join(speeds)} float32 speed")
    report = conversion.path.with_suffix(".report.html")
    return f"{conversion.path.stem}  {' · '.join(said)} · report {report}"
