"""A network with samplers anywhere in it beside the float one: its outputs, and the pose of each sampler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.integer.sampler_plan import THETA_BITS
from stn_rectify.converters.proof.bits import with_extra_outputs
from stn_rectify.converters.proof.composite_bits import SamplerBits
from stn_rectify.converters.report.comparisons.class_agreement import ClassAgreement, class_agreement, text_agreement
from stn_rectify.converters.report.comparisons.frame_points import frame_points
from stn_rectify.converters.report.comparisons.stn_comparison import median_spread
from stn_rectify.converters.tflite.builder import Quantization
from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter
from stn_rectify.runtime.arrays import Array, IntArray
from stn_rectify.runtime.geometry import UNIT_CORNERS
from stn_rectify.runtime.recognition.recognizer_file import SequenceLayout


@dataclass(frozen=True)
class OutputDifference:
    """An output of the file beside that of the float network.

    Attributes:
        name: of the output.
        spread: how far the float network's numbers are from their mean over the frames, a mean; 0 where all frames
            give the same.
        difference: how far the file's numbers are from the float network's, a mean.
    """

    name: str
    spread: float
    difference: float

    @property
    def share(self) -> float:
        """The difference as a share of the spread; 0 where nothing is spread."""
        return self.difference / self.spread if self.spread > 0 else 0.0


@dataclass(frozen=True)
class SamplerPoses:
    """The corners that one sampler reads, in pixels of what it reads, file beside float network.

    Attributes:
        number: of the sampler.
        corners_mean_px: mean distance.
        corners_p95_px: 95th percentile of it.
        corners_max_px: the largest.
        poses_spread_px: how far the float network's corners are from their median over all frames, a median, too.
    """

    number: int
    corners_mean_px: float
    corners_p95_px: float
    corners_max_px: float
    poses_spread_px: float


@dataclass(frozen=True)
class CompositeComparison:
    """INT8 against float, of a network with samplers anywhere in it.

    Attributes:
        frames: how many were compared.
        outputs: of each output.
        samplers: of each sampler.
        class_scores: the classes or texts; None of a network whose output is neither.
    """

    frames: int
    outputs: tuple[OutputDifference, ...]
    samplers: tuple[SamplerPoses, ...]
    class_scores: ClassAgreement | None

    def summary(self) -> dict[str, Any]:
        """The numbers, for the report; the corners of the worst sampler under the names that a batch lists."""
        worst = max(self.samplers, key=lambda sampler: sampler.corners_mean_px)
        numbers = {name: getattr(worst, name) for name in ("corners_mean_px", "corners_p95_px", "corners_max_px")}
        outputs = [{**asdict(output), "share": output.share} for output in self.outputs]
        return {**asdict(self), "outputs": outputs, **numbers}


def compare_composite(
    flatbuffer: bytes,
    frames: npt.NDArray[np.int8],
    of_float: Mapping[str, npt.NDArray[np.float32]],
    quantizations: Mapping[str, Quantization],
    samplers: tuple[SamplerBits, ...],
    labels: IntArray | None,
    sequence: SequenceLayout | None,
) -> CompositeComparison:
    """Runs a file over frames of which the float network's outputs are known.

    Args:
        flatbuffer: of the file, read back.
        frames: int8 [N, H, W, C], as the file takes them.
        of_float: the outputs of the float network, and ``theta_N`` of each sampler, ours.
        quantizations: of the file's outputs.
        samplers: the names of their tensors in the file.
        labels: the true classes [N], -1 where not known; None if none is, or the network gives no class scores.
        sequence: where the blank is, of a network that reads texts.

    Raises:
        ModelFileError: if the interpreter refuses the file or dies of it.
    """
    with IsolatedInterpreter() as interpreter:
        interpreter.load(with_extra_outputs(flatbuffer, [sampler.theta for sampler in samplers]))
        runs = [interpreter.run({"image": frame[None]}) for frame in frames]
    of_file = {name: np.concatenate([run[name] for run in runs]) for name in runs[0]}
    scores = None
    if "class_scores" in quantizations:
        pair = of_float["class_scores"], of_file["class_scores"]
        scores = class_agreement(*pair, labels) if sequence is None else text_agreement(*pair, sequence)
    return CompositeComparison(
        frames=len(frames),
        outputs=tuple(_difference(name, of_float[name], of_file[name], q) for name, q in quantizations.items()),
        samplers=tuple(_poses(sampler, of_float, of_file) for sampler in samplers),
        class_scores=scores,
    )


def _difference(name: str, of_float: Array, levels: Array, quantization: Quantization) -> OutputDifference:
    of_float = of_float.astype(np.float64)  # in which the mean of numbers that are all the same is that number
    values = (levels.astype(np.float64) - quantization.zero_point) * quantization.scale
    spread = float(np.abs(of_float - of_float.mean(axis=0)).mean())
    return OutputDifference(name, spread, float(np.abs(values - of_float).mean()))


def _poses(sampler: SamplerBits, of_float: Mapping[str, Array], of_file: Mapping[str, Array]) -> SamplerPoses:
    thetas = np.asarray(of_float[f"theta_{sampler.number}"], np.float64), of_file[sampler.theta] / 2.0**THETA_BITS
    corners = [frame_points(t, sampler.plan.transform, sampler.plan.input_size, UNIT_CORNERS) for t in thetas]
    distance = np.linalg.norm(corners[0] - corners[1], axis=-1)
    return SamplerPoses(
        sampler.number, float(distance.mean()), float(np.percentile(distance, 95)), float(distance.max()),
        median_spread(corners[0]),
    )  # fmt: skip
