"""A turn network, ``NAME.turn.keras``, on its way into the file of ``NAME.keras``: which side of a target is up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt

from stn_rectify.converters.assembly import class_activation, quantize_frames
from stn_rectify.converters.file_metadata import colour_name
from stn_rectify.converters.networks.network import PROOF_FRAMES, Network
from stn_rectify.converters.proof.bits import TurnReference
from stn_rectify.converters.reading.calibration import calibration_warnings, read_frames
from stn_rectify.converters.reading.keras_trace import KerasTrace
from stn_rectify.converters.reading.layer_check import check_layers
from stn_rectify.converters.reading.model_files import calibration_of, turn_file
from stn_rectify.converters.report.network_report import NetworkReport
from stn_rectify.converters.report.turn_comparison import compare_turns, take_turn_pictures
from stn_rectify.converters.report.verdict import class_doubts
from stn_rectify.converters.tflite.builder import Quantization
from stn_rectify.converters.tflite.graph import FlatbufferGraph
from stn_rectify.converters.tflite.quantizer import quantize
from stn_rectify.converters.tflite.written_graph import network_cost
from stn_rectify.models.files import TURN
from stn_rectify.models.network.cost import StageCost, StnCost
from stn_rectify.models.network.keras_file import load_model, network_kind
from stn_rectify.models.network.turn import TURNS
from stn_rectify.runtime.errors import DataError, ModelFileError
from stn_rectify.runtime.model.metadata import TURN_THRESHOLD, ClassScoresSpec, InputSpec, TurnSpec
from stn_rectify.runtime.model.model_file import TURN_SIGNATURE, ModelFile

_BATCH = 64
_IMAGE_CHANNELS = (1, 3)  # grey and RGB can be made of each other, other channels cannot


@dataclass(frozen=True)
class TurnAssembly:
    """A quantized turn network.

    Attributes:
        alone: as TensorFlow's quantizer wrote it.
        flatbuffer: the same with our names of input and output.
        frame: quantization of the input.
        scores: quantization of the output.
    """

    alone: bytes = field(repr=False)
    flatbuffer: bytes = field(repr=False)
    frame: Quantization
    scores: Quantization


@dataclass(frozen=True)
class TurnNetwork(Network):
    """A classifier that sees the target as rectified and says by how many quarters it must be turned clockwise.

    Attributes:
        model: one rectified target in; scores [batch, 4] out.
        threshold: the probability from which on a turn counts.
    """

    model: keras.Model = field(repr=False)
    threshold: float
    kind: ClassVar[str] = TURN

    @property
    def signature(self) -> str:
        """It is always the last network of a file."""
        return TURN_SIGNATURE

    @cached_property
    def assembly(self) -> TurnAssembly:
        """The network in integers; takes seconds.

        Raises:
            ModelFileError: if it cannot become integers; the message names the file, which is not the one that is
                converted.
        """
        try:
            alone = quantize(self.float_outputs, self.calibration.frames, self.options.value_range, "turn network")
        except ModelFileError as error:
            raise ModelFileError(f"{self.source}: {error}") from error
        graph = FlatbufferGraph(alone)
        signature = graph.model.signatureDefs[0]
        frame = graph.tensor(signature.inputs[0].tensorIndex)
        ends = {end.name.decode(): end.tensorIndex for end in signature.outputs}  # operands of additions among them
        scores = graph.tensor(ends["scores"])
        if frame.quantization is None or scores.quantization is None:
            raise ModelFileError(f"{self.source}: TensorFlow left the image or the scores without a quantization")
        flatbuffer = graph.finish({"frame": frame}, {"scores": scores})
        return TurnAssembly(alone, flatbuffer, frame.quantization, scores.quantization)

    @property
    def flatbuffer(self) -> bytes:
        """The quantized network."""
        return self.assembly.flatbuffer

    @property
    def reference(self) -> TurnReference:
        """The network as TensorFlow's quantizer made it, whose scores the file must give."""
        return TurnReference(self.quantized(self.calibration.frames[:PROOF_FRAMES]), self.assembly.alone)

    def quantized(self, frames: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
        """Rectified targets [N, H, W, C] as the file takes them on a device."""
        return quantize_frames(frames, self.options.value_range, self.assembly.frame)

    @cached_property
    def _scores(self) -> npt.NDArray[np.float32]:
        """Scores of the float model for the calibration frames, [N, 4]."""
        return np.asarray(self.model.predict(self.calibration.frames, batch_size=_BATCH, verbose=0))

    @property
    def spec(self) -> TurnSpec:
        """The content of metadata.json under ``turn``."""
        frame, scores = self.assembly.frame, self.assembly.scores
        height, width, channels = self.model.input_shape[1:]
        value_range = self.options.value_range
        return TurnSpec(
            InputSpec(height, width, channels, colour_name(channels), value_range, frame.scale, frame.zero_point),
            ClassScoresSpec(
                size=TURNS,
                scale=scores.scale,
                zero_point=scores.zero_point,
                activation=class_activation(self._scores),
            ),
            self.threshold,
            *network_cost(self.flatbuffer),
        )

    def open(self, file: Path) -> ModelFile:
        """Reads a model file."""
        return ModelFile.open(file)

    def report(self, file: Path | None) -> NetworkReport:
        """Gives its part of the report: how often INT8 and float agree, how often each is right, and how sure."""
        cost = StnCost((StageCost("turn network", *network_cost(self.flatbuffer)),))
        warnings = [f"turn network: {warning}" for warning in calibration_warnings(self.calibration)]
        report = NetworkReport(
            self.kind, self.signature, self.source, cost, warnings, settings={"threshold": self.threshold}
        )
        if file is None:
            return report
        frames, turns = self.validation.frames, self.validation.labels
        comparison = compare_turns(self.open(file), self.quantized(frames), self._scores, turns)
        classes = comparison.class_scores
        summary = [f"same turn in {100 * classes.top1_agreement:.1f} %"]
        if classes.accuracy_int8 is not None:
            summary.append(f"right in {100 * classes.accuracy_int8:.1f} % INT8")
        doubts = [f"turn network: {doubt}" for doubt in class_doubts(classes)]
        return replace(
            report,
            comparison=comparison,
            warnings=[*warnings, *doubts],
            doubts=doubts,
            truth_is_known=classes.labelled > 0,
            summary=[f"turn network {phrase}" for phrase in summary],
            sheets=take_turn_pictures(comparison, frames, self.options.value_range, turns),
        )

    def float_outputs(self, image: Any) -> dict[str, Any]:
        """The model itself."""
        return {"scores": self.model(image, training=False)}


def turn_spec(networks: Sequence[Network]) -> TurnSpec | None:
    """What metadata.json says of the turn network among these networks; None if there is none."""
    return next((network.spec for network in networks if isinstance(network, TurnNetwork)), None)


def read_turn(scan: Network, transform: str, channels: int) -> TurnNetwork | None:
    """Reads the turn network beside a model, and its calibration frames; None if there is none.

    Args:
        scan: the network of the model.
        transform: of its poses.
        channels: of its frames.

    Raises:
        DataError: if its file or frames are missing or cannot be read.
        ModelFileError: if it is no classifier of four classes that can be converted, or does not fit the model.
    """
    file = turn_file(scan.source)
    if file is None:
        return None
    frames = calibration_of(file)
    if not frames.is_file():
        raise DataError(
            f"{file} needs {frames.name} beside it, rectified targets to calibrate it with (stn-train turn writes "
            f"them); to convert {scan.source.name} without it move it away"
        )
    network_kind(file)
    model = load_model(file)
    _check(file, model, transform, channels)
    options = replace(scan.options, validation=None)
    calibration = read_frames(frames, model.input_shape[1:], options.value_range)
    if calibration.labels is not None and not (-1 <= calibration.labels.min() <= calibration.labels.max() < TURNS):
        raise DataError(f"{frames}: labels must be quarters, 0 to {TURNS - 1}, or -1 where they are not known")
    return TurnNetwork(file, options, calibration, calibration, model, _threshold(frames))


def _check(file: Path, model: keras.Model, transform: str, channels: int) -> None:
    trace = KerasTrace(model)
    image, scores = model.input_shape, model.output_shape
    is_image = isinstance(image, tuple) and len(image) == 4 and None not in image[1:] and image[1] == image[2]
    if not is_image or scores != (None, TURNS):
        raise ModelFileError(
            f"{file}: from {image} to {scores}, but a turn network takes a square image [batch, side, side, channels] "
            f"and gives the scores [batch, {TURNS}] of 0, 1, 2 and 3 quarters clockwise"
        )
    check_layers(model.name, trace.steps_between([trace.frame], list(trace.outputs)))
    if transform == "tps":
        raise ModelFileError(f"{file}: the model is a thin-plate spline (tps), whose targets cannot be turned")
    own = image[3]
    if own != channels and not (own in _IMAGE_CHANNELS and channels in _IMAGE_CHANNELS):
        raise ModelFileError(f"{file}: reads {own} channels, the model {channels}; they must agree")


def _threshold(frames: Path) -> float:
    """The number ``threshold`` in the file of frames, if it is there."""
    with np.load(frames) as stored:
        threshold = stored["threshold"] if "threshold" in stored else np.float64(TURN_THRESHOLD)
    if threshold.shape != () or not np.issubdtype(threshold.dtype, np.floating) or not 0 <= threshold <= 1:
        raise DataError(f"{frames}: threshold is {threshold.tolist()!r:.60}, expected one number from 0 to 1")
    return float(threshold)
