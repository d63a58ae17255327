"""The files of a model, by their names: what its outputs are called, and what beside it goes into them.

``NAME.refine.keras`` is the network that improves the poses of ``NAME.keras``, ``NAME.turn.keras`` the one that says
which side of a target is up, ``NAME.whole.keras`` one that sees the whole frame beside a dense network;
``NAME.refine.calibration.npz`` and so on are frames to calibrate them with. ``NAME.recognizer.keras`` is a recognizer
of its own; its images and classes are in ``NAME.recognizer.calibration.npz`` and ``NAME.labels.txt``. Importing this
does not import TensorFlow.
"""

from __future__ import annotations

from pathlib import Path

from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.reading.onnx.onnx_file import external_files
from stn_rectify.models.files import (
    ONNX_SUFFIX,
    RECOGNIZER_SUFFIX,
    TURN_SUFFIX,
    companion_suffix,
    labels_file_of,
    negatives_of,
    refine_file_of,
    sha256_of,
    sha256_of_files,
    turn_file_of,
    whole_file_of,
)
from stn_rectify.runtime.model.labels import read_labels


def output_name(source: Path) -> str:
    """NAME of what comes out of a model, ``NAME.tflite`` for one: a folder's whole name, a file's without suffix."""
    if source.is_dir():
        return source.name
    return source.name.removesuffix(TURN_SUFFIX) if source.name.endswith(TURN_SUFFIX) else source.stem


def is_saved_model(path: Path) -> bool:
    """Tells whether a folder is a SavedModel."""
    return (path / "saved_model.pb").is_file()


def is_recognizer(source: Path) -> bool:
    """Tells whether a model is by its name a recognizer, and no spatial transformer."""
    return source.name.endswith(RECOGNIZER_SUFFIX) and not source.is_dir()


def refine_file(source: Path) -> Path | None:
    """The refine network of a .keras file; None if none lies beside it."""
    return _beside(source, refine_file_of(source))


def turn_file(source: Path) -> Path | None:
    """The turn network of a .keras file; None if none lies beside it."""
    return _beside(source, turn_file_of(source))


def whole_file(source: Path) -> Path | None:
    """The network beside a .keras file that sees the whole frame; None if none lies there."""
    return _beside(source, whole_file_of(source))


def _beside(source: Path, other: Path) -> Path | None:
    return other if source.suffix == ".keras" and source.is_file() and other.is_file() else None


def model_of_companion(file: Path) -> Path | None:
    """The .keras file into whose model file a network goes; None of one that does not, or a lone one."""
    suffix = companion_suffix(file)
    if suffix is None:
        return None
    model = file.with_name(file.name.removesuffix(suffix) + ".keras")
    return model if model.is_file() else None


def calibration_of(network: Path) -> Path:
    """Gives the file in which the frames of a network that goes into another's file must lie, of a recognizer may."""
    return network.with_name(f"{network.stem}.calibration.npz")


def own_frames(source: Path) -> Path | None:
    """The calibration images beside a recognizer; None of a model that is calibrated with what all share."""
    beside = calibration_of(source)
    return beside if is_recognizer(source) and beside.is_file() else None


def own_options(source: Path, options: ConversionOptions) -> ConversionOptions:
    """The options that count for a model.

    A recognizer has no pose, so only calibration, value_range, input_shape, labels, description, latency,
    custom_objects and overwrite are left of them, and what lies beside it stands in for the first and, if none were
    chosen, the labels.

    Raises:
        UsageError: if the labels beside a recognizer cannot be read.
    """
    if not is_recognizer(source):
        return options
    names = labels_file_of(source)
    return ConversionOptions(
        calibration=own_frames(source) or options.calibration,
        value_range=options.value_range,
        input_shape=options.input_shape,
        labels=options.labels or (read_labels(names) if names.is_file() else ()),
        description=options.description,
        latency=options.latency,
        custom_objects=options.custom_objects,
        overwrite=options.overwrite,
    )


def networks_beside(source: Path) -> tuple[Path, ...]:
    """Gives the networks beside a model that go into its file."""
    return tuple(file for file in (whole_file(source), refine_file(source), turn_file(source)) if file)


def companion_files(source: Path) -> tuple[Path, ...]:
    """Gives the files that a conversion reads besides a model: the networks that go into its file, and their frames, if
    there; of a recognizer the images that show nothing it knows; of an ONNX file those with its weights.

    What `own_options` has put into the options is not among them, nor are the calibration frames of the model itself.
    """
    networks = networks_beside(source)
    frames = [calibration_of(file) for file in networks]
    frames += [negatives_of(source)] if is_recognizer(source) else []
    weights = external_files(source) if source.suffix == ONNX_SUFFIX else ()
    return (*networks, *weights, *(file for file in frames if file.is_file()))


def sha256_of_source(source: Path) -> str:
    """SHA-256 of a model alone, of an ONNX file with the files of its weights.

    Raises:
        OSError: if it cannot be read.
    """
    return sha256_of_model(source) if source.suffix == ONNX_SUFFIX else sha256_of(source)


def sha256_of_model(source: Path) -> str:
    """SHA-256 of a model's content, that of the networks that go into its file and their frames included.

    Raises:
        OSError: if it cannot be read.
    """
    companions = companion_files(source)
    if not companions:
        return sha256_of(source)
    return sha256_of_files({file.name: file for file in (source, *companions)})
