"""A network with samplers anywhere in it on its way into a file: of feature maps, in series, parallel, CTC behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from msgspec import UNSET

from stn_rectify.converters.file_metadata import colour_name, flatbuffer_spec, versions
from stn_rectify.converters.networks.composite_assembly import CompositeAssembly, assemble_composite
from stn_rectify.converters.networks.network import PROOF_FRAMES, Network
from stn_rectify.converters.networks.recognizer import sequence_of
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.proof.composite_bits import CompositeReference
from stn_rectify.converters.proof.proof import Check
from stn_rectify.converters.reading.calibration import (
    VALIDATION_FRAMES,
    frame_warnings,
    read_frames,
    refuse_unknown_labels,
)
from stn_rectify.converters.reading.composite_parts import CompositeParts, split_composite
from stn_rectify.converters.reading.foreign.sampler_site import OtherStructureError
from stn_rectify.converters.reading.model_files import companion_files, output_name, sha256_of_source
from stn_rectify.converters.report.comparisons.composite_comparison import CompositeComparison, compare_composite
from stn_rectify.converters.report.network_report import NetworkReport
from stn_rectify.converters.report.verdict import class_doubts, output_checks, output_doubts, sampler_doubts
from stn_rectify.runtime.errors import ModelFileError, UsageError
from stn_rectify.runtime.model.metadata import (
    ClassScoresSpec,
    InputSpec,
    NetworkMetadata,
    OutputSpec,
    RecognizerMetadata,
    SamplerSpec,
)
from stn_rectify.runtime.model.network_file import NetworkFile
from stn_rectify.runtime.recognition.recognizer_file import RecognizerFile, SequenceLayout


@dataclass(frozen=True)
class CompositeNetwork(Network):
    """A network with samplers anywhere in it.

    Attributes:
        parts: what the model was taken apart into.
        sequence: where steps, classes and blank are in the scores of one that reads texts; None of any other.
        reason: why it is no STN at its input.
        source_sha256: of the source.
    """

    parts: CompositeParts = field(repr=False)
    sequence: SequenceLayout | None
    reason: str
    source_sha256: str
    kind: ClassVar[str] = "composite"

    @property
    def is_recognizer(self) -> bool:
        """Tells whether its file is that of a recognizer: one picture in, class scores out and nothing else."""
        return list(self.parts.outputs) == ["class_scores"] and self.parts.frame_shape[2] in (1, 3)

    @cached_property
    def assembly(self) -> CompositeAssembly:
        """The network in integers; takes seconds.

        Raises:
            ModelFileError: if a part cannot become integers.
        """
        return assemble_composite(self.parts, self.calibration, self.value_range, refit=self.options.refit_head)

    @property
    def value_range(self) -> tuple[float, float]:
        """What pixel values 0 and 255 are to its parts, behind what the model first makes of them itself."""
        return self.parts.scaling.value_range(self.options.value_range)

    @property
    def flatbuffer(self) -> bytes:
        """The network, its samplers in integers."""
        return self.assembly.flatbuffer

    @property
    def reference(self) -> CompositeReference:
        """The integers that the samplers should compute with, and all else as TensorFlow's quantizer made it."""
        assembly, frames = self.assembly, self.quantized(self.calibration.frames[:PROOF_FRAMES])
        return CompositeReference(frames, assembly.remainder, assembly.samplers, assembly.places)

    def quantized(self, frames: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
        """Frames [N, H, W, C] as the file takes them on a device."""
        return self.assembly.quantize_frames(frames)

    def metadata(self, flatbuffer: bytes, others: Sequence[Network]) -> RecognizerMetadata | NetworkMetadata:
        """The content of metadata.json (docs/reference/model-file.md)."""
        assembly, parts = self.assembly, self.parts
        channels = parts.frame_shape[2]
        colour = "BGR" if self.options.channels == "bgr" else colour_name(channels)
        image = assembly.image
        common: dict[str, Any] = {
            "name": output_name(self.source),
            "description": self.options.description,
            "input": InputSpec(*parts.frame_shape, colour, self.value_range, image.scale, image.zero_point),
            "samplers": tuple(
                SamplerSpec(s.transform, s.padding, s.image_shape, s.sampled_shape) for s in parts.samplers
            ),
            "parameters": assembly.cost.parameters,
            "macs": assembly.cost.macs,
            "converter": versions(),
            "source_sha256": self.source_sha256,
            "flatbuffer": flatbuffer_spec(flatbuffer),
        }
        if not self.is_recognizer or assembly.activation is None:
            outputs = (OutputSpec(n, parts.outputs[n], q.scale, q.zero_point) for n, q in assembly.outputs.items())
            return NetworkMetadata(outputs=tuple(outputs), **common)
        *steps, classes = parts.outputs["class_scores"]
        scores = assembly.outputs["class_scores"]
        spec = ClassScoresSpec(
            size=classes, steps=steps[0] if steps else UNSET, scale=scores.scale, zero_point=scores.zero_point,
            activation=assembly.activation,
        )  # fmt: skip
        return RecognizerMetadata(class_scores=spec, **common)

    def open(self, file: Path) -> RecognizerFile | NetworkFile:
        """Reads its file."""
        return RecognizerFile.open(file) if self.is_recognizer else NetworkFile.open(file)

    def report(self, file: Path | None) -> NetworkReport:
        """Gives its part of the report: how close the outputs are to those of the float network, and the poses."""
        parts = self.parts
        taken = "it is a recognizer" if self.is_recognizer else "an app runs it, stn-rectify does not"
        warnings = frame_warnings(self.calibration, self.validation)
        warnings += [*parts.notes, f"converted as a whole network with {_counted(len(parts.samplers))} inside: {taken}"]
        conventions = {s.number: s.convention.summary() for s in parts.samplers if s.convention is not None}
        samplers = [
            {
                "number": s.number, "reads": s.source, "transform": s.transform, "padding": s.padding,
                "input": list(s.image_shape), "rectified": list(s.sampled_shape),
                "convention": conventions.get(s.number),
            }
            for s in parts.samplers
        ]  # fmt: skip
        report = NetworkReport(
            self.kind, self.signature, self.source, self.assembly.cost, warnings,
            settings={"samplers": samplers, "why": self.reason},
        )  # fmt: skip
        if file is None:
            return report
        frames, labels = self.validation.frames, self.validation.labels
        comparison = compare_composite(
            self.open(file).flatbuffer, self.quantized(frames), parts.run(frames), self.assembly.outputs,
            self.assembly.samplers, labels, self.sequence,
        )  # fmt: skip
        alike = bool((frames == frames[:1]).all())
        doubts = sampler_doubts(comparison, [s.input_size for s in parts.samplers], alike)
        doubts += output_doubts(comparison, alike)
        classes = comparison.class_scores
        doubts += [] if classes is None else class_doubts(classes)
        return replace(
            report,
            comparison=comparison,
            warnings=[*warnings, *doubts],
            doubts=doubts,
            truth_is_known=classes is not None and classes.labelled > 0,
            checks=output_checks(comparison, alike),
            thresholds=self._thresholds(comparison),
            summary=_summary(comparison),
        )

    def _thresholds(self, comparison: CompositeComparison) -> list[Check]:
        most = self.options.max_corner_error
        if most is None:
            return []
        return [
            Check(
                f"corner error float↔INT8 of sampler {s.number} at most {most:g} px",
                s.corners_p95_px <= most,
                f"{s.corners_p95_px:.3f} px (95th percentile of {comparison.frames} frames)",
            )
            for s in comparison.samplers
        ]

    def float_outputs(self, image: Any) -> dict[str, Any]:
        """The whole float network."""
        return self.parts.whole(image)


def _counted(samplers: int) -> str:
    return "1 sampler" if samplers == 1 else f"{samplers} samplers"


def _summary(comparison: CompositeComparison) -> list[str]:
    phrases = [_counted(len(comparison.samplers))]
    if comparison.class_scores is not None:
        phrases.append(f"same answer in {100 * comparison.class_scores.top1_agreement:.1f} %")
    phrases += [f"{o.name} off by {100 * o.share:.1f} % of its spread" for o in comparison.outputs]
    worst = max(comparison.samplers, key=lambda sampler: sampler.corners_mean_px)
    phrases.append(f"corner error float→INT8 {worst.corners_mean_px:.2f} px mean, {worst.corners_max_px:.2f} max")
    return phrases


def read_composite(source: Path, options: ConversionOptions, error: OtherStructureError) -> CompositeNetwork:
    """Reads a network that is no STN at its input, and its frames.

    Args:
        source: the .keras or .h5 file, or SavedModel.
        options: of the conversion.
        error: why it is none, with its graph.

    Raises:
        DataError: if the frames cannot be read.
        ModelFileError: if it is no network of samplers that can be converted.
        UsageError: if the options contradict the model.
    """
    _check_options(source, options)
    parts = split_composite(error.graph, accept_border=options.accept_border)
    is_bgr = options.channels == "bgr"
    if is_bgr and parts.frame_shape[2] != 3:
        raise UsageError(f"{source}: --channels bgr is for models of 3 channels, this one has {parts.frame_shape[2]}")
    scores, sequence, classes = parts.outputs.get("class_scores"), None, None
    if scores is not None and len(scores) == 2 and not options.labels:
        note = f"its output {list(scores)} is taken for numbers: --labels, its alphabet, makes it a reader of texts"
        parts = replace(_without_scores(parts), notes=(*parts.notes, note))
    elif scores is not None and len(scores) == 2:
        sequence = sequence_of(source, (scores[0], scores[1]), options.labels)
    elif scores is not None:
        classes = scores[0]
    if options.labels and sequence is None and len(options.labels) != classes:
        counted = "no class scores alone" if classes is None else f"scores of {classes} classes"
        raise UsageError(f"{source}: --labels has {len(options.labels)} lines, but it gives {counted}")
    value_range = _range(source, parts, options)
    calibration = validation = read_frames(options.calibration, parts.frame_shape, value_range, is_bgr=is_bgr)
    if options.validation is not None:
        validation = read_frames(options.validation, parts.frame_shape, value_range, VALIDATION_FRAMES, is_bgr=is_bgr)
    refuse_unknown_labels(options.validation or options.calibration, validation, classes)
    return CompositeNetwork(
        source, options, calibration, validation, parts, sequence, str(error), sha256_of_source(source)
    )


def _without_scores(parts: CompositeParts) -> CompositeParts:
    """The same whose only output is called so."""

    def renamed(named: dict[str, Any]) -> dict[str, Any]:
        return {"output" if name == "class_scores" else name: value for name, value in named.items()}

    return replace(
        parts, outputs=renamed(parts.outputs), places=renamed(parts.places), whole=lambda f: renamed(parts.whole(f))
    )


def _check_options(source: Path, options: ConversionOptions) -> None:
    companions = companion_files(source)
    if companions:
        raise UsageError(
            f"{companions[0]} goes into the file of a Spatial Transformer at its input, but {source} is a whole "
            "network with samplers inside: move it away"
        )
    if options.pose_only:
        raise UsageError(f"{source}: --pose-only leaves the sampler out, but the rest of the network follows it")
    if options.min_coverage is not None:
        raise UsageError(f"{source}: --min-coverage is for a Spatial Transformer at its input, not for a whole network")


def _range(source: Path, parts: CompositeParts, options: ConversionOptions) -> tuple[float, float]:
    """What pixel values 0 and 255 are to the parts.

    Raises:
        ModelFileError: if 0, which is what lies outside an image, is not among them.
    """
    low, high = parts.scaling.value_range(options.value_range)
    if not low <= 0 <= high:
        raise ModelFileError(
            f"{source}: first makes {low:g} to {high:g} of the frame's pixel values; 0 must be among them, because it "
            "is what lies outside the frame (--value-range says what the model is given)"
        )
    return low, high
