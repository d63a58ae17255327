"""Spatial Transformers on their way into a file: the scan network and the refine network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.assembly import Assembly, assemble
from stn_rectify.converters.file_metadata import file_metadata, refine_metadata
from stn_rectify.converters.networks.companions import check_companion, companion_frames
from stn_rectify.converters.networks.network import PROOF_FRAMES, Network
from stn_rectify.converters.networks.turn import turn_spec
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.proof.bits import StnReference
from stn_rectify.converters.proof.proof import Check
from stn_rectify.converters.reading.calibration import (
    VALIDATION_FRAMES,
    frame_warnings,
    read_frames,
    refuse_unknown_labels,
    stored_number,
)
from stn_rectify.converters.reading.foreign.frozen_graph import Scaling
from stn_rectify.converters.reading.graph_parts import split_keras_graph, split_saved_model
from stn_rectify.converters.reading.input_shape import with_input_shape
from stn_rectify.converters.reading.keras_2 import keras_2_export
from stn_rectify.converters.reading.keras_parts import ForeignLayersError, split_keras_model
from stn_rectify.converters.reading.model_files import is_saved_model, output_name, refine_file, sha256_of_source
from stn_rectify.converters.reading.onnx.onnx_parts import split_onnx
from stn_rectify.converters.reading.stn_parts import StnParts
from stn_rectify.converters.report.comparisons.stn_comparison import Comparison, compare, gate
from stn_rectify.converters.report.comparisons.value_range import better_value_range, range_nearer_truth
from stn_rectify.converters.report.network_report import NetworkReport
from stn_rectify.converters.report.pictures.frame_pictures import take_alignment, take_pictures
from stn_rectify.converters.report.verdict import STILL_SHARE, class_doubts, pose_doubts, poses_check
from stn_rectify.models.files import ONNX_SUFFIX, REFINE, SCAN
from stn_rectify.models.network.keras_file import LegacyFileError, load_model, network_kind
from stn_rectify.runtime.errors import DataError, ModelFileError, UsageError
from stn_rectify.runtime.model.metadata import MAX_MARGIN, InputSpec, Metadata, RefineSpec
from stn_rectify.runtime.model.model_file import REFINE_SIGNATURE, ModelFile
from stn_rectify.runtime.rectifying.pixels.crops import REFINE_MARGIN

_MOST_LEVELS = 2.5  # docs/reference/integer-sampler.md


@dataclass(frozen=True)
class StnNetwork(Network):
    """A Spatial Transformer: all that scan, whole and refine networks have in common.

    Attributes:
        parts: what the model was taken apart into.
    """

    parts: StnParts = field(repr=False)

    @property
    def value_range(self) -> tuple[float, float]:
        """What pixel values 0 and 255 are to its parts, behind what the model first makes of them itself."""
        return self.parts.scaling.value_range(self.options.value_range)

    @cached_property
    def assembly(self) -> Assembly:
        """The network in integers; takes seconds.

        Raises:
            ModelFileError: if a part cannot become integers.
        """
        pose_only, refit = self.options.pose_only, self.options.refit_head
        return assemble(self.parts, self.calibration, self.value_range, pose_only=pose_only, refit=refit)

    @property
    def flatbuffer(self) -> bytes:
        """Trunk, head and, but for a pose-only network, sampler and recognizer."""
        return self.assembly.flatbuffer

    @property
    def reference(self) -> StnReference:
        """The integers that head and sampler should compute with, and the recognizer alone."""
        assembly = self.assembly
        frames = self.quantized(self.calibration.frames[:PROOF_FRAMES])
        return StnReference(frames, assembly.head, assembly.plan, assembly.recognizer)

    def quantized(self, frames: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
        """Frames [N, H, W, C] as the file takes them on a device."""
        return self.assembly.quantize_frames(frames)

    def open(self, file: Path) -> ModelFile:
        """Reads a model file."""
        return ModelFile.open(file)

    def report(self, file: Path | None) -> NetworkReport:
        """Corners, what the sampler gives, classes of a recognizer behind it; thresholds."""
        warnings = frame_warnings(self.calibration, self.validation)
        convention = self.parts.convention
        warnings += [*self.parts.notes, *(() if convention is None else convention.notes)]
        report = NetworkReport(
            self.kind, self.signature, self.source, self.assembly.cost, warnings,
            settings={} if convention is None else {"convention": convention.summary()},
            theta_readout=self.assembly.refit.table(),
        )  # fmt: skip
        if file is None:
            return report
        quantized = self.quantized(self.validation.frames)
        comparison = compare(self.open(file), self.parts, self.validation, quantized, signature=self.signature)
        mean, most = comparison.corners_mean_px, comparison.corners_max_px
        summary = [f"corner error float→INT8 {mean:.2f} px mean, {most:.2f} max"]
        if comparison.int8_targets is not None:
            summary.insert(0, f"corners {comparison.int8_targets.corners_mean_px:.2f} px from the true ones")
        if comparison.class_scores is not None:
            summary.append(f"same class in {100 * comparison.class_scores.top1_agreement:.1f} %")
        if convention is not None:
            summary.append(f"sampler read as {convention}")
        frames, classes = self.validation.frames, comparison.class_scores
        alike = bool((frames == frames[:1]).all())
        doubts = pose_doubts(comparison, self.parts.input_size, alike)
        doubts = [*self._range_doubts(alike), *doubts]
        told_apart = poses_check(comparison, self.parts.input_size, alike)
        doubts += [] if classes is None else class_doubts(classes)
        return replace(
            report,
            comparison=comparison,
            warnings=[*warnings, *doubts],
            doubts=doubts,
            truth_is_known=comparison.known_targets > 0 or (classes is not None and classes.labelled > 0),
            checks=[*_sampler_checks(comparison), *([] if told_apart is None else [told_apart])],
            thresholds=gate(comparison, self.options.max_corner_error, self.options.min_coverage),
            summary=summary,
        )

    def _range_doubts(self, alike: bool) -> list[str]:
        """Says with which value range the corners would be far nearer to the true ones, or the poses plausible."""
        if alike:
            return []
        given = self.options.value_range
        nearer = range_nearer_truth(self.parts, self.validation, given)
        if nearer is not None:
            (low, high), error, now = nearer
            return [
                f"with --value-range {given[0]:g} {given[1]:g} the corners are {now:.2g} px from the true ones on "
                f"average, with {low:g} {high:g} they are {error:.2g} px: try --value-range {low:g} {high:g}"
            ]
        least_px = STILL_SHARE * float(np.hypot(*self.parts.input_size))
        better = better_value_range(self.parts, self.validation.frames, given, least_px)
        if better is None:
            return []
        (low, high), spread, now = better
        return [
            f"with --value-range {given[0]:g} {given[1]:g} the corners vary by {now:.2g} px over the frames, with "
            f"{low:g} {high:g} by {spread:.2g} px: it was probably trained with the latter"
        ]

    def with_pictures(self, report: NetworkReport, spec: InputSpec) -> NetworkReport:
        """Its report with pictures of the frames, if there is a comparison in it."""
        if not isinstance(report.comparison, Comparison):
            return report
        pictured = spec, self.parts, self.validation, report.comparison
        return replace(report, pictures=take_pictures(*pictured), alignment=take_alignment(*pictured))

    def float_outputs(self, image: Any) -> dict[str, Any]:
        """The whole float model."""
        return self.parts.whole(image)


@dataclass(frozen=True)
class ScanNetwork(StnNetwork):
    """A network that sees the whole frame, with its sampler and the recognizer behind it, if there is one.

    Attributes:
        source_sha256: of the source.
    """

    source_sha256: str
    kind: ClassVar[str] = SCAN

    def metadata(self, flatbuffer: bytes, others: Sequence[Network]) -> Metadata:
        """The content of metadata.json, with that of the refine network if there is one."""
        options = self.options
        return file_metadata(
            output_name(self.source), options.description, self.parts, self.assembly, self.value_range,
            self.source_sha256, flatbuffer, refine_spec(others), options.min_score, turn_spec(others),
        )  # fmt: skip

    def report(self, file: Path | None) -> NetworkReport:
        """The same, with pictures of the frames."""
        report = super().report(file)
        return report if file is None else self.with_pictures(report, self.open(file).metadata.input)


@dataclass(frozen=True)
class RefineNetwork(StnNetwork):
    """A network that sees the target as rectified so far and corrects the pose; pose-only, the runtime makes the crops.

    Attributes:
        margin: of the crops that it was trained with, as a share of the target's side.
    """

    margin: float
    kind: ClassVar[str] = REFINE

    @property
    def signature(self) -> str:
        """It is always the second network of a file."""
        return REFINE_SIGNATURE

    @property
    def spec(self) -> RefineSpec:
        """The content of metadata.json under ``refine``."""
        passes = self.options.refine_passes
        return refine_metadata(self.parts, self.assembly, self.value_range, margin=self.margin, passes=passes)

    def report(self, file: Path | None) -> NetworkReport:
        """The same in pixels of the crop."""
        report = super().report(file)
        return replace(
            report, settings={**report.settings, "margin": self.margin, "passes": self.options.refine_passes}
        )


def refine_spec(networks: Sequence[Network]) -> RefineSpec | None:
    """What metadata.json says of the refine network among these networks; None if there is none."""
    return next((network.spec for network in networks if isinstance(network, RefineNetwork)), None)


def read_stn(source: Path, options: ConversionOptions) -> StnParts:
    """Reads a model and takes it apart: by its layers if the sampler is ours, else by its graph.

    Args:
        source: a .keras, .h5 or .onnx file, or a SavedModel.
        options: of the conversion.

    Raises:
        DataError: if it is missing, truncated, or neither a .keras file nor a SavedModel.
        ModelFileError: if it is not an STN that can be converted; the message says which layer and why.
        UsageError: if it has not three channels, but is to see them as BGR, or was saved for another size than
            ``options.input_shape``.
    """
    parts = _read_parts(source, options)
    if options.channels == "bgr" and parts.channels != 3:
        raise UsageError(f"{source}: --channels bgr is for models of 3 channels, this one has {parts.channels}")
    return replace(parts, is_bgr=options.channels == "bgr")


def _read_parts(source: Path, options: ConversionOptions) -> StnParts:
    if source.is_dir():
        if not is_saved_model(source):
            raise DataError(f"{source} is a folder, but not a SavedModel: there is no saved_model.pb in it")
        return split_saved_model(source, accept_border=options.accept_border, input_shape=options.input_shape)
    if source.suffix == ONNX_SUFFIX:
        return split_onnx(source, accept_border=options.accept_border, input_shape=options.input_shape)
    try:
        model = load_model(source, options.custom_names())
    except LegacyFileError as error:
        with keras_2_export(source, options.custom_objects, error) as folder:
            return split_saved_model(
                folder, accept_border=options.accept_border, name=source.stem, input_shape=options.input_shape
            )
    model = with_input_shape(model, options.input_shape)
    try:
        return split_keras_model(model)
    except ForeignLayersError:
        return split_keras_graph(model, accept_border=options.accept_border, input_shape=options.input_shape)


def read_scan(source: Path, options: ConversionOptions) -> ScanNetwork:
    """Reads a model and its frames.

    Raises:
        DataError: if the model or the frames cannot be read.
        ModelFileError: if it is no STN that can be converted.
        UsageError: if the options contradict the model.
    """
    parts = read_stn(source, options)
    sha256 = sha256_of_source(source)
    _check_options(source, parts, options)
    value_range = range_of_parts(source, parts.scaling, options)
    calibration = validation = read_frames(options.calibration, parts.frame_shape, value_range, is_bgr=parts.is_bgr)
    if options.validation is not None:
        validation = read_frames(
            options.validation, parts.frame_shape, value_range, VALIDATION_FRAMES, is_bgr=parts.is_bgr
        )
    refuse_unknown_labels(options.validation or options.calibration, validation, parts.classes)
    return ScanNetwork(source, options, calibration, validation, parts, sha256)


def read_refine(scan: Network, transform: str, channels: int) -> RefineNetwork | None:
    """Reads the refine network beside a model, and its calibration frames; None if there is none.

    Args:
        scan: the network of the model.
        transform: of its poses.
        channels: of its frames.

    Raises:
        DataError: if its file or frames are missing or cannot be read.
        ModelFileError: if it is no STN that can be converted, or does not fit the model.
    """
    file = refine_file(scan.source)
    if file is None:
        return None
    frames = companion_frames(file, scan, "crops to calibrate it with (stn-train writes them)")
    network_kind(file)
    parts = read_stn(file, replace(scan.options, input_shape=None))  # that is the model's own
    _check_fit(file, parts, transform, channels)
    options = replace(scan.options, pose_only=True, min_coverage=None)  # a crop is not what is kept of a target
    calibration = read_frames(frames, parts.frame_shape, range_of_parts(file, parts.scaling, options))
    return RefineNetwork(
        file, options, calibration, calibration, parts, stored_number(frames, "margin", REFINE_MARGIN, MAX_MARGIN)
    )


def range_of_parts(source: Path, scaling: Scaling, options: ConversionOptions) -> tuple[float, float]:
    """What pixel values 0 and 255 are to the parts of a model, behind what it first makes of them itself.

    Raises:
        ModelFileError: if 0, which is what lies outside the frame, is not among them.
    """
    low, high = scaling.value_range(options.value_range)
    if not low <= 0 <= high:
        raise ModelFileError(
            f"{source}: first makes {low:g} to {high:g} of the frame's pixel values; 0 must be among them, because it "
            "is what lies outside the frame (--value-range says what the model is given)"
        )
    return low, high


def _check_options(source: Path, parts: StnParts, options: ConversionOptions) -> None:
    if options.pose_only and parts.classes is not None:
        raise UsageError(
            f"{source}: --pose-only leaves the sampler out, but a recognizer follows it; save the STN alone"
        )
    if parts.classes is not None and options.labels and len(options.labels) != parts.classes:
        raise UsageError(f"{source}: --labels has {len(options.labels)} lines, its recognizer {parts.classes} classes")


def _check_fit(file: Path, parts: StnParts, transform: str, channels: int) -> None:
    if parts.transform != "projective":
        raise ModelFileError(f"{file}: its transform is {parts.transform}, but a refine network's must be projective")
    if parts.classes is not None:
        raise ModelFileError(f"{file}: a recognizer follows its sampler; save the STN alone as the refine network")
    check_companion(file, parts.channels, transform, channels, "poses cannot be refined")


def _sampler_checks(comparison: Comparison) -> list[Check]:
    if comparison.levels_max is None:
        return []
    finding = f"at most {comparison.levels_max:.1f} levels of 255 on {comparison.frames} frames"
    return [Check("sampler against float64", comparison.levels_max <= _MOST_LEVELS, finding)]
