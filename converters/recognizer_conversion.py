"""From a Keras recognizer, ``NAME.recognizer.keras``, to a fully INT8 file for ``stn-rectify --recognizer``."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from msgspec import UNSET

from stn_rectify.converters.assembly import class_activation
from stn_rectify.converters.conversion_options import ConversionOptions
from stn_rectify.converters.file_metadata import flatbuffer_spec, versions
from stn_rectify.converters.proof.proof import Check, inspect_file
from stn_rectify.converters.reading.calibration import (
    FrameSet,
    calibration_warnings,
    read_frames,
    refuse_unknown_labels,
)
from stn_rectify.converters.reading.keras_trace import KerasTrace
from stn_rectify.converters.reading.layer_check import check_layers
from stn_rectify.converters.tflite.cost import network_cost
from stn_rectify.converters.tflite.graph import FlatbufferGraph
from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter, installed_packages
from stn_rectify.converters.tflite.packing import pack
from stn_rectify.converters.tflite.quantizer import quantize
from stn_rectify.models.files import RECOGNIZER_SUFFIX, partial_file, sha256_of_files
from stn_rectify.models.network.loading import load_model
from stn_rectify.runtime.errors import DataError, ModelFileError, StnRectifyError, UsageError
from stn_rectify.runtime.model.labels import read_labels
from stn_rectify.runtime.model.metadata import ClassScoresSpec, InputSpec, RecognizerMetadata
from stn_rectify.runtime.recognition.ctc import best_path
from stn_rectify.runtime.recognition.recognizer_file import RecognizerFile, SequenceLayout
from stn_rectify.runtime.rectifying.preprocess import pixel_levels

__all__ = ["RecognizerConversion", "convert_recognizer"]

_BATCH = 64


@dataclass(frozen=True)
class RecognizerConversion:
    """A finished conversion; ``str()`` is one line.

    Attributes:
        path: the file.
        size_bytes: of the file.
        checks: what was proved of it.
        agreement: share of calibration images for which INT8 and float give the same class, or text.
        accuracy: of float and INT8 on those whose labels are known; None if none are.
        warnings: a line each.
        skipped: the file was there already, made from the same.
    """

    path: Path
    size_bytes: int
    checks: tuple[Check, ...] = field(repr=False, default=())
    agreement: float | None = None
    accuracy: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()
    skipped: bool = False

    def __str__(self) -> str:
        name = self.path.name.removesuffix(".tflite")
        if self.skipped:
            return f"{name}  unchanged · {self.size_bytes / 1000:.0f} KB"
        said = ["proved all-integer", f"{self.size_bytes / 1000:.0f} KB"]
        said += [] if self.agreement is None else [f"same answer in {100 * self.agreement:.1f} %"]
        if self.accuracy is not None:
            said.append(f"right in {100 * self.accuracy[0]:.1f} % float, {100 * self.accuracy[1]:.1f} % INT8")
        return f"{name}  {' · '.join(said)}"


def convert_recognizer(
    source: Path, out: Path, options: ConversionOptions, *, force: bool = False
) -> RecognizerConversion:
    """Converts ``NAME.recognizer.keras`` to ``out/NAME.recognizer.tflite``, proved like every other file.

    It is calibrated with ``NAME.recognizer.calibration.npz`` beside it if that is there (rectified images, which
    ``stn-train recognizer`` writes), else with ``options.calibration``; its labels are those of the
    options, else the lines of ``NAME.labels.txt`` beside it.

    Args:
        source: the model: one image in; class scores [batch, classes] out, or [batch, steps, classes] of a network that
            reads texts (CTC), whose labels are its alphabet.
        out: folder for the result.
        options: of them calibration, value_range, labels, description and overwrite count. Without ``overwrite`` a file
            that no conversion has written, or that was altered since, is not replaced.
        force: convert an unchanged model, too.

    Raises:
        UsageError: the output exists and is not to be replaced, or cannot be written; or the labels cannot be read.
        StnRectifyError: no interpreter is installed, so that nothing could be proved.
        DataError: the model or the images cannot be read.
        ModelFileError: the model is no classifier that can be converted, or the proof failed.
    """
    name = source.name.removesuffix(RECOGNIZER_SUFFIX)
    target = out / f"{name}.recognizer.tflite"
    beside = source.with_suffix(".calibration.npz")
    calibration = beside if beside.is_file() else options.calibration
    options = replace(options, labels=options.labels or _labels_beside(source, name))
    digest = _digest(source, calibration, options)
    before = _made_of(target)
    if before == digest and not force:
        return RecognizerConversion(target, target.stat().st_size, skipped=True)
    if before is None and target.exists() and not options.overwrite:
        raise UsageError(f"{target} exists: give --overwrite to replace it, or another --out")
    packages = installed_packages()
    if not packages:
        raise StnRectifyError("no interpreter is installed to prove files with: pip install ai-edge-litert")
    model = load_model(source)
    sequence = _check_model(source, model, options.labels)
    images = read_frames(calibration, model.input_shape[1:], options.value_range)
    refuse_unknown_labels(calibration, images, None if sequence else model.output_shape[1])
    scores = np.asarray(model.predict(images.frames, batch_size=_BATCH, verbose=0))
    flatbuffer, metadata = _quantized(name, model, images, scores, digest, options)
    checks, found = _prove(flatbuffer, _levels(images, metadata.input), packages)
    failed = [check for check in checks if not check.passed]
    if failed:
        raise ModelFileError(f"{source}: {'; '.join(f'{c.name}: {c.found}' for c in failed)}")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with partial_file(target) as partial:
            partial.write_bytes(pack(flatbuffer, metadata, options.labels))
            RecognizerFile.open(partial)
    except OSError as error:
        raise UsageError(f"{target} cannot be written ({error.strerror or error}): choose another --out") from error
    return RecognizerConversion(
        target,
        target.stat().st_size,
        tuple(checks),
        _agreement(scores, found, sequence),
        None if sequence else _accuracy(images, scores, found),
        tuple(calibration_warnings(images)),
    )


def _labels_beside(source: Path, name: str) -> tuple[str, ...]:
    file = source.with_name(f"{name}.labels.txt")
    return read_labels(file) if file.is_file() else ()


def _digest(source: Path, calibration: Path, options: ConversionOptions) -> str:
    files = {"model": source}
    if calibration.is_dir():
        files |= {str(f.relative_to(calibration)): f for f in calibration.rglob("*") if f.is_file()}
    elif calibration.is_file():
        files["calibration"] = calibration
    chosen = json.dumps([options.value_range, options.labels, options.description, versions()])
    return sha256_of_files({**files, chosen: source})


def _made_of(target: Path) -> str | None:
    """What the metadata of a file says that it was made of; None of one that is missing, altered or not of ours."""
    try:
        RecognizerFile.open(target)  # its SHA-256 is right
        with zipfile.ZipFile(io.BytesIO(target.read_bytes())) as archive:
            return str(json.loads(archive.read("metadata.json"))["source_sha256"])
    except (StnRectifyError, OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError):
        return None


def _check_model(source: Path, model: keras.Model, labels: Sequence[str]) -> SequenceLayout | None:
    """Where steps, classes and blank are, if it reads texts."""
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
        return _sequence(source, (scores[1], scores[2]), labels)
    if labels and len(labels) != scores[1]:
        raise UsageError(
            f"{source}: {len(labels)} labels for {scores[1]} classes: give --labels FILE of {scores[1]} lines"
        )
    return None


def _sequence(source: Path, sides: tuple[int, int], labels: Sequence[str]) -> SequenceLayout:
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


def _quantized(
    name: str,
    model: keras.Model,
    images: FrameSet,
    scores: npt.NDArray[np.float32],
    digest: str,
    options: ConversionOptions,
) -> tuple[bytes, RecognizerMetadata]:
    """The flatbuffer and its metadata."""
    network = quantize(
        lambda image: {"class_scores": model(image, training=False)}, images.frames, options.value_range, "recognizer"
    )
    graph = FlatbufferGraph(network)
    signature = graph.model.signatureDefs[0]
    image = graph.tensor(signature.inputs[0].tensorIndex)
    outputs = {entry.name.decode(): graph.tensor(entry.tensorIndex) for entry in signature.outputs}
    given = outputs["class_scores"]
    if image.quantization is None or given.quantization is None:
        raise ModelFileError("TensorFlow left the image or the class scores without a quantization")
    flatbuffer = graph.finish({"image": image}, {"class_scores": given})
    _, height, width, channels = image.shape
    colour = "GREY" if channels == 1 else "RGB"
    parameters, macs = network_cost(flatbuffer)
    metadata = RecognizerMetadata(
        name=name,
        description=options.description,
        input=InputSpec(
            height,
            width,
            channels,
            colour,
            options.value_range,
            image.quantization.scale,
            image.quantization.zero_point,
        ),
        class_scores=ClassScoresSpec(
            size=given.shape[-1],
            steps=given.shape[1] if len(given.shape) == 3 else UNSET,
            scale=given.quantization.scale,
            zero_point=given.quantization.zero_point,
            activation=class_activation(scores),
        ),
        parameters=parameters,
        macs=macs,
        converter=versions(),
        source_sha256=digest,
        flatbuffer=flatbuffer_spec(flatbuffer),
    )
    return flatbuffer, metadata


def _levels(images: FrameSet, spec: InputSpec) -> npt.NDArray[np.int8]:
    """The images as the device quantizes them."""
    low, high = spec.value_range
    pixels = np.rint((images.frames - low) * (255 / (high - low))).astype(np.uint8)
    return np.asarray(pixel_levels(spec.value_range, spec.scale, spec.zero_point)[pixels])


def _prove(
    flatbuffer: bytes, levels: npt.NDArray[np.int8], packages: Sequence[str]
) -> tuple[list[Check], npt.NDArray[np.int8]]:
    """Checks of the file; and its class scores [N, ...] of the images, in the last interpreter that ran it."""
    checks = inspect_file(flatbuffer)
    found = np.zeros((len(levels), 0), np.int8)
    for package in packages:
        try:
            with IsolatedInterpreter(package) as interpreter:
                interpreter.load(flatbuffer)
                rows = [interpreter.run({"image": level[None]})["class_scores"][0] for level in levels]
                found = np.stack(rows)
                checks.append(Check(f"runs in {package}", True, f"{interpreter.package}, {len(rows)} images"))
        except StnRectifyError as error:
            checks.append(Check(f"runs in {package}", False, str(error)))
    return checks, found


def _agreement(scores: npt.NDArray[np.float32], found: npt.NDArray[np.int8], sequence: SequenceLayout | None) -> float:
    if sequence is None:
        return float((found.argmax(axis=-1) == scores.argmax(axis=-1)).mean())
    blank = sequence.blank
    return float(np.mean([best_path(a, blank) == best_path(b, blank) for a, b in zip(scores, found, strict=True)]))


def _accuracy(
    images: FrameSet, scores: npt.NDArray[np.float32], found: npt.NDArray[np.int8]
) -> tuple[float, float] | None:
    if images.labels is None or not (known := images.labels >= 0).any():
        return None
    right = [(s.argmax(axis=-1) == images.labels)[known].mean() for s in (scores, found)]
    return float(right[0]), float(right[1])
