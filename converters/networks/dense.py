"""A dense localization network on its way into a file: one set of weights, a subgraph for each level of a pyramid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.converters.assembly import quantize_frames
from stn_rectify.converters.file_metadata import CORNERS_IN_PIXELS, colour_name, flatbuffer_spec, versions
from stn_rectify.converters.networks.network import PROOF_FRAMES, Network
from stn_rectify.converters.networks.stn import refine_spec
from stn_rectify.converters.networks.turn import turn_spec
from stn_rectify.converters.networks.whole import whole_spec
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.proof.bits import DenseReference, Reference
from stn_rectify.converters.proof.proof import ProvableNetwork, held_once
from stn_rectify.converters.reading.calibration import frame_warnings, read_frames
from stn_rectify.converters.reading.dense_parts import DenseParts, read_dense_model
from stn_rectify.converters.reading.input_shape import with_input_shape
from stn_rectify.converters.reading.model_files import output_name
from stn_rectify.converters.report.comparisons.dense_comparison import compare_dense, dense_gate
from stn_rectify.converters.report.latency import Latency, measure_latencies
from stn_rectify.converters.report.network_report import NetworkReport
from stn_rectify.converters.report.pictures.dense_pictures import take_level_pictures
from stn_rectify.converters.report.verdict import LEAST_AGREEMENT
from stn_rectify.converters.tflite.builder import Quantization
from stn_rectify.converters.tflite.graph import FlatbufferGraph
from stn_rectify.converters.tflite.quantizer import TensorFunction, quantize
from stn_rectify.converters.tflite.resizing import with_quantization_of, with_sizes
from stn_rectify.converters.tflite.written_graph import network_cost
from stn_rectify.models.files import DENSE, sha256_of
from stn_rectify.models.network.cost import StageCost, StnCost
from stn_rectify.models.network.keras_file import load_model
from stn_rectify.runtime.errors import ModelFileError, UsageError
from stn_rectify.runtime.model.metadata import DenseSpec, InputSpec, LevelSpec, Metadata, ScoreSpec
from stn_rectify.runtime.model.model_file import LEVEL_SIGNATURE, SIGNATURE, ModelFile

#: No level has a side below this, pixels; sides are whole multiples of the other.
_LEAST_SIDE_PX, _MULTIPLE_PX = 64, 16
#: So many frames show that a level other than the network's own computes the right bits.
_LEVEL_PROOF_FRAMES = 10


def pyramid(size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """The levels of a file, finest first: height and width of each.

    The first is twice as fine as the network's own size, for devices that look for tiny targets and have the time. Each
    further one is half of the one before, sides rounded to multiples of 16 pixels, down to sides of 64.

    Args:
        size: height and width of the frames that the network was saved for.
    """
    levels = [(2 * size[0], 2 * size[1]), size]
    while True:
        height, width = (round(n / 2 / _MULTIPLE_PX) * _MULTIPLE_PX for n in levels[-1])
        if min(height, width) < _LEAST_SIDE_PX:
            return tuple(levels)
        levels.append((height, width))


def level_signature(number: int, size: tuple[int, int]) -> str:
    """The key of a level's SignatureDef: ``serving_default`` of the first, ``dense_160x128`` of others."""
    return SIGNATURE if number == 0 else f"{LEVEL_SIGNATURE}{size[1]}x{size[0]}"


@dataclass(frozen=True)
class DenseAssembly:
    """A quantized dense network.

    Attributes:
        alone: at its own size, as TensorFlow's quantizer wrote it.
        own: the same with our names of input and outputs.
        flatbuffer: all levels.
        image: quantization of the input.
        score: quantization of the scores.
        corners: quantization of the corners.
    """

    alone: bytes = field(repr=False)
    own: bytes = field(repr=False)
    flatbuffer: bytes = field(repr=False)
    image: Quantization
    score: Quantization
    corners: Quantization


@dataclass(frozen=True)
class DenseLevel:
    """One level of a dense network, as the proof sees it.

    Attributes:
        network: whose level it is.
        number: of the level, finest first.
    """

    network: DenseNetwork = field(repr=False)
    number: int

    @property
    def signature(self) -> str:
        """The key of its SignatureDef."""
        return level_signature(self.number, self.network.levels[self.number])

    @property
    def reference(self) -> Reference:
        """What TensorFlow's quantizer makes of the network at this size; takes seconds."""
        return self.network.level_reference(self.network.levels[self.number])


@dataclass(frozen=True)
class DenseNetwork(Network):
    """A dense localization network.

    Attributes:
        parts: the float network.
        source_sha256: of the source.
    """

    parts: DenseParts = field(repr=False)
    source_sha256: str
    kind: ClassVar[str] = DENSE

    @cached_property
    def levels(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each level, finest first."""
        return pyramid(self.parts.input_size)

    @cached_property
    def assembly(self) -> DenseAssembly:
        """The network in integers; takes seconds.

        It is quantized once, at its own size, with frames as all levels see them. The other levels have the same
        operators and constants.

        Raises:
            ModelFileError: if it cannot become integers.
        """
        size, value_range = self.parts.input_size, self.options.value_range
        frames = frames_of_all_levels(self.calibration.frames, [s for s in self.levels if s[0] <= size[0]])
        alone = quantize(self._own_size, frames, value_range, "dense network")
        graph = FlatbufferGraph(alone)
        signature = graph.model.signatureDefs[0]
        image = graph.tensor(signature.inputs[0].tensorIndex)
        ends = {entry.name.decode(): graph.tensor(entry.tensorIndex) for entry in signature.outputs}
        score, corners = ends["score"], ends["corners"]
        if image.quantization is None or score.quantization is None or corners.quantization is None:
            raise ModelFileError("TensorFlow left the frame, the scores or the corners without a quantization")
        own = graph.finish({"frame": image}, {"score": score, "corners": corners})
        keys = [level_signature(number, level) for number, level in enumerate(self.levels)]
        flatbuffer = with_sizes(own, self.levels, keys)
        return DenseAssembly(alone, own, flatbuffer, image.quantization, score.quantization, corners.quantization)

    @property
    def flatbuffer(self) -> bytes:
        """All levels."""
        return self.assembly.flatbuffer

    @property
    def reference(self) -> DenseReference:
        """The network as TensorFlow's quantizer made it, at its own size."""
        return self.level_reference(self.parts.input_size)

    @property
    def provable(self) -> Sequence[ProvableNetwork]:
        """Each level."""
        return [DenseLevel(self, number) for number in range(len(self.levels))]

    def level_reference(self, size: tuple[int, int]) -> DenseReference:
        """The bits that the file should compute at a level.

        At the network's own size, those of what TensorFlow's quantizer made. At another, TensorFlow converts the Keras
        network once more, at that size, and only the scales and the biases that follow from them are carried over.

        Args:
            size: height and width of the level.

        Raises:
            ModelFileError: if TensorFlow makes another network at that size.
        """
        if size == self.parts.input_size:
            frames = self.calibration.frames[:PROOF_FRAMES]
            return DenseReference(self.quantized(frames), self.assembly.alone)
        frames = resized(self.calibration.frames[:_LEVEL_PROOF_FRAMES], size)
        again = quantize(self.parts.at(size), frames[:1], self.options.value_range, "dense network", checked=False)
        return DenseReference(self.quantized(frames), with_quantization_of(again, self.assembly.alone))

    def quantized(self, frames: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
        """Frames [N, H, W, C] of any level as the file takes them on a device."""
        return quantize_frames(frames, self.options.value_range, self.assembly.image)

    def metadata(self, flatbuffer: bytes, others: Sequence[Network]) -> Metadata:
        """The content of metadata.json, with that of the networks behind it."""
        assembly, options, channels = self.assembly, self.options, self.parts.channels
        image, levels = assembly.image, tuple(
            LevelSpec(level_signature(number, size), *size) for number, size in enumerate(self.levels)
        )  # fmt: skip
        return Metadata(
            name=output_name(self.source),
            description=options.description,
            kind="dense",
            transform="projective",
            padding="zeros",
            coordinates=CORNERS_IN_PIXELS,
            input=InputSpec(
                *self.levels[0], channels, colour_name(channels), options.value_range, image.scale, image.zero_point
            ),
            dense=DenseSpec(
                levels=levels,
                stride=self.parts.stride,
                unit=self.parts.unit,
                score=ScoreSpec(assembly.score.scale, assembly.score.zero_point),
                corners=ScoreSpec(assembly.corners.scale, assembly.corners.zero_point),
            ),
            parameters=self._cost.parameters,
            macs=self._cost.macs,
            source_sha256=self.source_sha256,
            converter=versions(),
            whole=whole_spec(others),
            refine=refine_spec(others),
            turn=turn_spec(others),
            min_score=options.min_score,
            flatbuffer=flatbuffer_spec(flatbuffer),
        )

    @cached_property
    def _cost(self) -> StnCost:
        """Of one look at all levels but the finer ones than its own, which a device is asked for."""
        parameters, _ = network_cost(self.assembly.own)
        stages = [
            StageCost(f"{width}x{height}", 0, self._level_macs(number))
            for number, (height, width) in enumerate(self.levels)
            if height <= self.parts.input_size[0]
        ]
        return StnCost((StageCost("weights", parameters, 0), *stages))

    def _level_macs(self, number: int) -> int:
        return network_cost(self.flatbuffer, number)[1]

    def open(self, file: Path) -> ModelFile:
        """Reads a model file."""
        return ModelFile.open(file)

    def report(self, file: Path | None) -> NetworkReport:
        """Gives its part of the report: scores and corners of both networks at the cells that see a target."""
        levels = [
            {
                "signature": level_signature(number, (height, width)),
                "width": width,
                "height": height,
                "macs": self._level_macs(number),
            }
            for number, (height, width) in enumerate(self.levels)
        ]
        report = NetworkReport(
            self.kind, self.signature, self.source, self._cost, frame_warnings(self.calibration, self.validation),
            settings={"stride": self.parts.stride, "unit": self.parts.unit, "levels": levels},
        )  # fmt: skip
        if file is None:
            return report
        model = self.open(file)
        frames = self.validation.frames
        comparison = compare_dense(model, self.parts, frames, self._look)
        own = comparison.levels[comparison.own]
        doubts, summary = [], []
        if own.corners is None or own.score is None:
            doubts.append(
                "the float network sees no target in any frame: nothing says how close INT8 comes; give frames with "
                "targets, and look at --value-range"
            )
        else:
            summary = [f"corners float→INT8 {own.corners.mean:.2f} px mean, {own.corners.max:.2f} max"]
            summary.append(f"same targets in {100 * own.found_both:.1f} %")
            if own.found_both < LEAST_AGREEMENT:
                doubts.append(
                    f"INT8 finds {100 * own.found_both:.1f} % of float's targets only: give calibration frames as the "
                    "device will see them"
                )
        return replace(
            report,
            comparison=comparison,
            warnings=[*report.warnings, *doubts],
            doubts=doubts,
            checks=[held_once(model.flatbuffer, len(self.levels))],
            thresholds=dense_gate(comparison, self.options.max_corner_error, self.options.max_score_error),
            summary=summary,
            sheets=take_level_pictures(comparison, frames, self._look, self.options.value_range),
        )

    def _look(
        self, frames: npt.NDArray[np.float32], size: tuple[int, int]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]:
        """Frames at the size of a level, as the float network and as the file takes them."""
        seen = resized(frames, size)
        return seen, self.quantized(seen)

    def float_outputs(self, image: Any) -> dict[str, Any]:
        """The float network at its own size."""
        return self._own_size(image)

    @cached_property
    def _own_size(self) -> TensorFunction:
        return self.parts.at(self.parts.input_size)

    def latencies(self, flatbuffer: bytes) -> list[Latency]:
        """Times the level of its own size alone, beside its float32 twin."""
        frames = self.validation.frames[:1]
        return measure_latencies(self.assembly.own, self.float_outputs, frames, self.quantized(frames))


def read_dense(source: Path, options: ConversionOptions) -> DenseNetwork:
    """Reads a dense network and its frames.

    Raises:
        DataError: if the network or the frames cannot be read.
        ModelFileError: if it is no dense network that can be converted.
        UsageError: if it is to see its channels as BGR.
    """
    if options.channels == "bgr":
        raise UsageError(f"{source}: --channels bgr is for networks that see the whole frame; a dense one sees RGB")
    parts = read_dense_model(with_input_shape(load_model(source, options.custom_names()), options.input_shape))
    for size in pyramid(parts.input_size):
        parts.at(size)  # refuses what is bound to its own size, before any long work
    options = replace(options, pose_only=True, min_coverage=None)  # as for its refine network
    calibration = validation = read_frames(options.calibration, parts.frame_shape, options.value_range)
    if options.validation is not None:
        validation = read_frames(options.validation, parts.frame_shape, options.value_range)
    return DenseNetwork(source, options, calibration, validation, parts, sha256_of(source))


def resized(frames: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Frames [N, H, W, C] at another height and width: means of pixels where they shrink."""
    if frames.shape[1:3] == tuple(size):
        return frames
    way = cv2.INTER_AREA if size[0] < frames.shape[1] else cv2.INTER_LINEAR
    images = [cv2.resize(frame, (size[1], size[0]), interpolation=way) for frame in frames]
    return np.asarray(np.stack(images).reshape(len(frames), *size, frames.shape[3]), np.float32)


def frames_of_all_levels(frames: npt.NDArray[np.float32], sizes: Sequence[tuple[int, int]]) -> npt.NDArray[np.float32]:
    """Frames for the quantizer, which takes one size: as they are, and shrunk ones, several beside each other.

    Args:
        frames: [N, H, W, C].
        sizes: height and width of each level; those that are not smaller are left out.

    Returns:
        [M, H, W, C], the frames first.
    """
    height, width = frames.shape[1:3]
    parts = [frames]
    for size in sizes:
        if size[0] >= height or size[1] >= width:
            continue
        tiles = resized(frames, size)
        rows, columns = -(-height // size[0]), -(-width // size[1])
        count = -(-len(tiles) // (rows * columns))
        chosen = tiles[np.arange(count * rows * columns) % len(tiles)]
        grid = chosen.reshape(count, rows, columns, *size, frames.shape[3]).transpose(0, 1, 3, 2, 4, 5)
        mosaic = grid.reshape(count, rows * size[0], columns * size[1], frames.shape[3])
        parts.append(mosaic[:, :height, :width])
    return np.concatenate(parts)
