"""A recognizer of its own, ``NAME.recognizer.keras``, on its way into a file for ``stn-rectify --recognizer``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import keras
import numpy as np
import numpy.typing as npt
from msgspec import UNSET

from stn_rectify.converters.file_metadata import flatbuffer_spec, versions
from stn_rectify.converters.networks.classifier import ClassifierNetwork
from stn_rectify.converters.networks.network import PROOF_FRAMES, Network
from stn_rectify.converters.networks.nothing import Negatives, nothing_labels, read_negatives, with_nothing
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.proof.bits import RecognizerReference
from stn_rectify.converters.reading.calibration import (
    CALIBRATION_FRAMES,
    calibration_warnings,
    frame_files,
    read_frames,
    refuse_unknown_labels,
    stored_number,
)
from stn_rectify.converters.reading.input_shape import with_input_shape
from stn_rectify.converters.reading.keras_trace import KerasTrace
from stn_rectify.converters.reading.layer_check import check_layers
from stn_rectify.converters.report.comparisons.class_agreement import compare_recognizer, nothing_shares
from stn_rectify.converters.report.network_report import NetworkReport
from stn_rectify.converters.report.verdict import class_doubts
from stn_rectify.converters.tflite.written_graph import network_cost
from stn_rectify.models.files import RECOGNIZER, RECOGNIZER_SUFFIX, negatives_of, sha256_of_files
from stn_rectify.models.network.cost import StageCost, StnCost
from stn_rectify.models.network.keras_file import load_model
from stn_rectify.runtime.errors import DataError, ModelFileError, UsageError
from stn_rectify.runtime.model.labels import NOTHING
from stn_rectify.runtime.model.metadata import MAX_MARGIN, ClassScoresSpec, RecognizerMetadata
from stn_rectify.runtime.recognition.recognizer_file import RecognizerFile, SequenceLayout


@dataclass(frozen=True)
class RecognizerNetwork(ClassifierNetwork):
    """A classifier, or a network that reads texts (CTC): class scores [batch, classes], or [batch, steps, classes].

    Attributes:
        sequence: where steps, classes and blank are in the scores of one that reads texts; None of a classifier.
        margin: what its images show beyond each edge of the target, as a share of the target's side.
        negatives: images that show nothing it knows, which its last class stands for; None if it has no such class.
        digest: SHA-256 of all that the file is made of.
    """

    sequence: SequenceLayout | None
    margin: float
    negatives: Negatives | None = field(repr=False)
    digest: str
    kind: ClassVar[str] = RECOGNIZER
    label: ClassVar[str] = "recognizer"
    image_name: ClassVar[str] = "image"
    scores_name: ClassVar[str] = "class_scores"

    @property
    def quantizer_frames(self) -> npt.NDArray[np.float32]:
        """Those of the calibration, and unknown ones, or the scores of nothing known would reach beyond their range."""
        frames = self.calibration.frames
        if self.negatives is None:
            return frames
        return np.concatenate([frames, self.negatives.fitted.unknown[: len(frames)]])

    @property
    def reference(self) -> RecognizerReference:
        """The recognizer as TensorFlow's quantizer made it, whose class scores the file must give."""
        frames = self.quantized(self.calibration.frames[:PROOF_FRAMES])
        return RecognizerReference(frames, self.assembly.alone)

    def metadata(self, flatbuffer: bytes, others: Sequence[Network]) -> RecognizerMetadata:
        """The content of metadata.json (docs/reference/model-file.md)."""
        scores = self.assembly.scores
        *steps, classes = self.model.output_shape[1:]
        parameters, macs = network_cost(self.flatbuffer)
        return RecognizerMetadata(
            name=self.source.name.removesuffix(RECOGNIZER_SUFFIX),
            description=self.options.description,
            input=self.input_spec,
            margin=self.margin or UNSET,
            class_scores=ClassScoresSpec(
                size=classes,
                steps=steps[0] if steps else UNSET,
                scale=scores.scale,
                zero_point=scores.zero_point,
                activation=self.activation,
            ),
            parameters=parameters,
            macs=macs,
            converter=versions(),
            source_sha256=self.digest,
            flatbuffer=flatbuffer_spec(flatbuffer),
        )

    def open(self, file: Path) -> RecognizerFile:
        """Reads a recognizer's file."""
        return RecognizerFile.open(file)

    def report(self, file: Path | None) -> NetworkReport:
        """Gives its part of the report: how often INT8 and float agree, and how often each is right."""
        cost = StnCost((StageCost("recognizer", *network_cost(self.flatbuffer)),))
        report = NetworkReport(self.kind, self.signature, self.source, cost, calibration_warnings(self.calibration))
        if file is None:
            return report
        quantized, labels = self.quantized(self.validation.frames), self.validation.labels
        comparison = compare_recognizer(self.open(file).flatbuffer, quantized, self.float_scores, labels, self.sequence)
        if self.negatives is not None:
            held_out = self.negatives.held_out
            known, unknown = self.quantized(held_out.known), self.quantized(held_out.unknown)
            comparison = replace(comparison, nothing=nothing_shares(self.open(file).flatbuffer, known, unknown))
        classes = comparison.class_scores
        summary = [f"same answer in {100 * classes.top1_agreement:.1f} %"]
        if classes.accuracy_float is not None and classes.accuracy_int8 is not None:
            right = f"right in {100 * classes.accuracy_float:.1f} % float"
            summary.append(f"{right}, {100 * classes.accuracy_int8:.1f} % INT8")
        if comparison.nothing is not None:
            nothing = comparison.nothing
            rejected, lost = 100 * nothing.rejected, 100 * nothing.lost
            summary.append(f"rejects {rejected:.1f} % of the negatives, {lost:.2f} % of the known")
        doubts = class_doubts(classes)
        return replace(
            report,
            comparison=comparison,
            summary=summary,
            warnings=[*report.warnings, *doubts],
            doubts=doubts,
            truth_is_known=classes.labelled > 0,
        )


def read_recognizer(source: Path, options: ConversionOptions) -> RecognizerNetwork:
    """Reads a recognizer and its calibration images.

    Args:
        source: the .keras file.
        options: those of `own_options`; labels of a network that reads texts are its alphabet.

    Raises:
        DataError: if the model or the images cannot be read.
        ModelFileError: if the model is no classifier that can be converted.
        UsageError: if there are more or fewer labels than classes.
    """
    model = with_input_shape(load_model(source, options.custom_names()), options.input_shape)
    sequence = _check_model(source, model, options.labels)
    images = read_frames(options.calibration, model.input_shape[1:], options.value_range)
    refuse_unknown_labels(options.calibration, images, None if sequence else model.output_shape[1])
    digest = _digest(source, options)
    negatives = read_negatives(negatives_of(source), model.input_shape[1:], options.value_range)
    if negatives is not None:
        if NOTHING in options.labels:
            raise UsageError(f"{source}: has a class {NOTHING} already: move {negatives_of(source).name} away")
        wider = with_nothing(source, model, negatives)
        options = replace(options, labels=nothing_labels(options.labels, model.output_shape[1]))
        model = wider
    is_file = options.calibration.suffix == ".npz"
    margin = stored_number(options.calibration, "margin", 0.0, MAX_MARGIN) if is_file else 0.0
    return RecognizerNetwork(source, options, images, images, model, sequence, margin, negatives, digest)


def _digest(source: Path, options: ConversionOptions) -> str:
    files = {"model": source}
    if negatives_of(source).is_file():
        files["negatives"] = negatives_of(source)
    if options.calibration.is_dir():
        files |= frame_files(options.calibration, CALIBRATION_FRAMES)
    else:
        files["calibration"] = options.calibration
    code = None if options.custom_objects is None else options.custom_objects.sha256
    chosen = json.dumps(
        [options.value_range, options.input_shape, options.labels, options.description, code, versions()]
    )
    return sha256_of_files({**files, chosen: source})


def _check_model(source: Path, model: keras.Model, labels: Sequence[str]) -> SequenceLayout | None:
    """Refuses a model that is no recognizer; gives the layout of its scores if it reads texts, else None.

    Raises:
        ModelFileError: if it takes no image, gives no class scores, or has a layer that cannot become integers.
        UsageError: if there are more or fewer labels than classes.
    """
    trace = KerasTrace(model)
    image, scores = model.input_shape, model.output_shape
    is_image = isinstance(image, tuple) and len(image) == 4 and None not in image[1:] and image[3] in (1, 3)
    is_scores = isinstance(scores, tuple) and len(scores) in (2, 3) and min(n or 0 for n in scores[1:]) > 1
    if not is_image or not is_scores:
        raise ModelFileError(
            f"{source}: from {image} to {scores}, but a recognizer takes one image [batch, height, width, 1 or 3] and "
            "gives class scores [batch, classes], or [batch, steps, classes] for a text"
        )
    check_layers(model.name, trace.steps_between([trace.frame], list(trace.outputs)))
    if len(scores) == 3:
        return sequence_of(source, (scores[1], scores[2]), labels)
    if labels and len(labels) != scores[1]:
        raise UsageError(
            f"{source}: {len(labels)} labels for {scores[1]} classes: give --labels FILE of {scores[1]} lines"
        )
    return None


def sequence_of(source: Path, sides: tuple[int, int], labels: Sequence[str]) -> SequenceLayout:
    """The layout of the scores [steps, classes] of a network that reads texts.

    Raises:
        UsageError: if its labels are not those of the classes.
    """
    try:
        sequence, _ = SequenceLayout.of(sides, labels)
    except DataError as error:
        raise UsageError(f"{source}: {error}") from error
    if sequence.classes_first:
        raise UsageError(
            f"{source}: {len(labels)} labels for {sides[1]} classes: a network that reads texts gives [batch, steps, "
            "classes]; give --labels FILE with a line for each class"
        )
    return sequence
