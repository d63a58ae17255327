"""From what stn-convert takes to the networks of one file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stn_rectify.converters.networks.composite import read_composite
from stn_rectify.converters.networks.dense import read_dense
from stn_rectify.converters.networks.kept import read_turn_into
from stn_rectify.converters.networks.network import Network
from stn_rectify.converters.networks.recognizer import read_recognizer
from stn_rectify.converters.networks.stn import read_refine, read_scan
from stn_rectify.converters.networks.turn import read_turn
from stn_rectify.converters.networks.whole import read_whole, refuse_whole
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.reading.foreign.sampler_site import OtherStructureError
from stn_rectify.converters.reading.model_files import own_options
from stn_rectify.models.files import DENSE, RECOGNIZER, REFINE, SCAN, TURN, TURN_SUFFIX, WHOLE, scan_file_of_turn
from stn_rectify.models.network.keras_file import network_kind
from stn_rectify.runtime.errors import UsageError


def read_networks(source: Path, options: ConversionOptions) -> tuple[Network, ...]:
    """Reads a model, what lies beside it, and the frames; refuses what cannot be converted before any long work.

    Args:
        source: .keras, .h5 or .onnx file, or SavedModel folder.
        options: how to convert.

    Returns:
        The networks of the file, in the order of its subgraphs; the first gives it its name.

    Raises:
        DataError: if the model or the frames cannot be read.
        ModelFileError: if a network cannot be converted, or does not fit the first.
        UsageError: if the options contradict the model.
    """
    kind = SCAN if source.is_dir() else network_kind(source)
    if options.into is not None and kind != TURN:
        raise UsageError(f"--into takes a turn network, NAME{TURN_SUFFIX}; {source} is none")
    return _READERS[kind](source, own_options(source, options))


def _scan_and_refine(source: Path, options: ConversionOptions) -> tuple[Network, ...]:
    refuse_whole(source)
    try:
        scan = read_scan(source, options)
    except OtherStructureError as error:
        return (read_composite(source, options, error),)
    return _with_others(scan, None, scan.parts.transform, scan.parts.channels)


def _dense_and_refine(source: Path, options: ConversionOptions) -> tuple[Network, ...]:
    dense = read_dense(source, options)
    return _with_others(dense, read_whole(dense), "projective", dense.parts.channels)


def _with_others(first: Network, whole: Network | None, transform: str, channels: int) -> tuple[Network, ...]:
    """A network that finds targets, and what lies beside it, in the order of the file's subgraphs."""
    others = (whole, read_refine(first, transform, channels), read_turn(first, transform, channels))
    return (first, *(other for other in others if other is not None))


def _turn(source: Path, options: ConversionOptions) -> tuple[Network, ...]:
    if options.into is None:
        name = scan_file_of_turn(source).name
        raise UsageError(
            f"{source} is a turn network, which goes into the file of {name}: put it beside that, and give {name}; or "
            "--into a finished FILE.tflite"
        )
    given = ConversionOptions(calibration=options.calibration)
    for name in _NOT_OF_TURNS:
        if getattr(options, name) != getattr(given, name):
            raise UsageError(
                f"--{name.replace('_', '-')} says nothing of a turn network, and --into leaves the others as they are: "
                "leave it out"
            )
    return (read_turn_into(source, options.into, options),)


def _recognizer(source: Path, options: ConversionOptions) -> tuple[Network, ...]:
    return (read_recognizer(source, options),)


#: Options that count for nothing where a turn network goes into a finished file.
_NOT_OF_TURNS = (
    "pose_only", "channels", "min_score", "labels", "accept_border", "refine_passes", "whole_weight", "validation",
    "input_shape", "max_corner_error", "max_score_error", "min_coverage",
)  # fmt: skip
#: A refine network, or one that sees the whole frame, without the model that it belongs to is converted as any STN.
_READERS: dict[str, Callable[[Path, ConversionOptions], tuple[Network, ...]]] = {
    SCAN: _scan_and_refine,
    DENSE: _dense_and_refine,
    REFINE: _scan_and_refine,
    WHOLE: _scan_and_refine,
    TURN: _turn,
    RECOGNIZER: _recognizer,
}
