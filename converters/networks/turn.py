"""A turn network, ``NAME.turn.keras``, on its way into the file of ``NAME.keras``: which side of a target is up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import keras

from stn_rectify.converters.networks.classifier import ClassifierNetwork
from stn_rectify.converters.networks.companions import check_companion, companion_frames
from stn_rectify.converters.networks.network import PROOF_FRAMES, Network
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.proof.bits import TurnReference
from stn_rectify.converters.reading.calibration import calibration_warnings, read_frames, stored_number
from stn_rectify.converters.reading.keras_trace import KerasTrace
from stn_rectify.converters.reading.layer_check import check_layers
from stn_rectify.converters.reading.model_files import turn_file
from stn_rectify.converters.report.comparisons.turn_comparison import compare_turns
from stn_rectify.converters.report.network_report import NetworkReport
from stn_rectify.converters.report.pictures.turn_pictures import take_turn_pictures
from stn_rectify.converters.report.verdict import class_doubts
from stn_rectify.converters.tflite.written_graph import network_cost
from stn_rectify.models.files import TURN
from stn_rectify.models.network.cost import StageCost, StnCost
from stn_rectify.models.network.keras_file import load_model, network_kind
from stn_rectify.models.network.turn import TURNS
from stn_rectify.runtime.errors import DataError, ModelFileError
from stn_rectify.runtime.model.metadata import MAX_DETAILS, TURN_THRESHOLD, ClassScoresSpec, TurnSpec
from stn_rectify.runtime.model.model_file import TURN_SIGNATURE, ModelFile


@dataclass(frozen=True)
class TurnNetwork(ClassifierNetwork):
    """A classifier that sees the target as rectified and says by how many quarters it must be turned clockwise.

    Attributes:
        threshold: the probability from which on a turn counts.
        details: how many details of each size of a target it is shown as well, at most.
    """

    threshold: float
    details: int
    kind: ClassVar[str] = TURN
    label: ClassVar[str] = "turn network"
    image_name: ClassVar[str] = "frame"
    scores_name: ClassVar[str] = "scores"

    @property
    def signature(self) -> str:
        """It is always the last network of a file."""
        return TURN_SIGNATURE

    @property
    def reference(self) -> TurnReference:
        """The network as TensorFlow's quantizer made it, whose scores the file must give."""
        return TurnReference(self.quantized(self.calibration.frames[:PROOF_FRAMES]), self.assembly.alone)

    @property
    def spec(self) -> TurnSpec:
        """The content of metadata.json under ``turn``."""
        scores = self.assembly.scores
        return TurnSpec(
            self.input_spec,
            ClassScoresSpec(size=TURNS, scale=scores.scale, zero_point=scores.zero_point, activation=self.activation),
            self.threshold,
            *network_cost(self.flatbuffer),
            self.details,
        )

    def open(self, file: Path) -> ModelFile:
        """Reads a model file."""
        return ModelFile.open(file)

    def report(self, file: Path | None) -> NetworkReport:
        """Gives its part of the report: how often INT8 and float agree, how often each is right, and how sure."""
        cost = StnCost((StageCost("turn network", *network_cost(self.flatbuffer)),))
        warnings = calibration_warnings(self.calibration)
        report = NetworkReport(
            self.kind,
            self.signature,
            self.source,
            cost,
            warnings,
            settings={"threshold": self.threshold, "details": self.details},
        )
        if file is None:
            return report
        frames, turns = self.validation.frames, self.validation.labels
        comparison = compare_turns(self.open(file), self.quantized(frames), self.float_scores, turns)
        classes = comparison.class_scores
        summary = [f"same turn in {100 * classes.top1_agreement:.1f} %"]
        if classes.accuracy_int8 is not None:
            summary.append(f"right in {100 * classes.accuracy_int8:.1f} % INT8")
        doubts = class_doubts(classes)
        return replace(
            report,
            comparison=comparison,
            warnings=[*warnings, *doubts],
            doubts=doubts,
            truth_is_known=classes.labelled > 0,
            summary=summary,
            sheets=take_turn_pictures(comparison, frames, self.options.value_range, turns),
        )


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
    frames = companion_frames(file, scan, "rectified targets to calibrate it with (stn-train turn writes them)")
    return turn_of_file(file, frames, scan.options, transform, channels)


def turn_of_file(
    file: Path,
    frames: Path,
    options: ConversionOptions,
    transform: str,
    channels: int,
    *,
    threshold: float = TURN_THRESHOLD,
    details: int = 0,
) -> TurnNetwork:
    """Reads a turn network.

    Args:
        file: the .keras file.
        frames: its calibration frames, and what `TurnNetwork` says of them.
        options: how to convert it.
        transform: of the poses of the model that it belongs to.
        channels: of that model's frames.
        threshold: as of `TurnNetwork`, where the frames' file says nothing of it.
        details: likewise.

    Raises:
        DataError: if the file or the frames cannot be read, or the frames are images in a folder.
        ModelFileError: if it is no classifier of four classes that can be converted, or does not fit the model.
    """
    if frames.is_dir():
        raise DataError(
            f"{frames} is a folder: a turn network is calibrated with an .npz file of the targets as it sees them, "
            "frames and labels (stn-train turn writes one)"
        )
    network_kind(file)
    model = load_model(file, options.custom_names())
    _check(file, model, transform, channels)
    options = replace(options, validation=None)
    calibration = read_frames(frames, model.input_shape[1:], options.value_range)
    if calibration.labels is not None and not (-1 <= calibration.labels.min() <= calibration.labels.max() < TURNS):
        raise DataError(f"{frames}: labels must be quarters, 0 to {TURNS - 1}, or -1 where they are not known")
    threshold = stored_number(frames, "threshold", threshold, 1.0)
    details = round(stored_number(frames, "details", details, MAX_DETAILS))
    return TurnNetwork(file, options, calibration, calibration, model, threshold, details)


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
    check_companion(file, image[3], transform, channels, "targets cannot be turned")
