"""What a model file says in its metadata.json; the format is written down in docs/model-file.md."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import THETA_SIZE

__all__ = [
    "FORMAT",
    "MAX_MARGIN",
    "MAX_PASSES",
    "ClassScoresSpec",
    "ImageSpec",
    "InputSpec",
    "Metadata",
    "RefineSpec",
    "ScoreSpec",
    "ThetaSpec",
    "parse_metadata",
]

#: The value of ``format`` that this version reads.
FORMAT = "stn-rectify/1"

#: More refinement passes and a wider margin around a crop than these are a mistake.
MAX_PASSES = 100
MAX_MARGIN = 4.0

_MAX_SIDE = 16384
_MAX_CHANNELS = 64
_MAX_CLASSES = 65536
_CHANNELS = {"RGB": 3, "GREY": 1}


@dataclass(frozen=True)
class ImageSpec:
    """Size of an image tensor, pixels."""

    height: int
    width: int
    channels: int


@dataclass(frozen=True)
class InputSpec(ImageSpec):
    """The network's input: what pixel values mean to it, and how they are quantized."""

    colour: str
    value_range: tuple[float, float]
    scale: float
    zero_point: int


@dataclass(frozen=True)
class ThetaSpec:
    """How θ is stored: ``size`` int32 numbers, divided by 2^``fractional_bits``."""

    size: int
    fractional_bits: int


@dataclass(frozen=True)
class ScoreSpec:
    """How the score is quantized: ``(int8 - zero_point) * scale``."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class ClassScoresSpec:
    """The class scores of a recognizer in the file: ``size`` int8 numbers, quantized as the score is.

    Attributes:
        activation: ``"softmax"``: they add up to 1; ``"sigmoid"``: each for itself from 0 to 1; or ``"logits"``.
    """

    size: int
    scale: float
    zero_point: int
    activation: str


@dataclass(frozen=True)
class RefineSpec:
    """The file's second network, which improves a pose (`stn_rectify.runtime.refinement`).

    Attributes:
        input: of the crop around the target.
        theta: target → crop coordinates, the eight numbers of a homography.
        score: is a target there? None if the network does not say.
        margin: what a crop shows beyond each edge of the target, as a share of the target's side.
        passes: how many a `Rectifier` makes that is not told.
        parameters: of the network.
        macs: multiply-accumulates of one pass.
    """

    input: InputSpec
    theta: ThetaSpec
    score: ScoreSpec | None
    margin: float
    passes: int
    parameters: int
    macs: int


@dataclass(frozen=True)
class Metadata:
    """The content of metadata.json."""

    name: str
    description: str
    kind: str
    transform: str
    padding: str
    coordinates: str
    input: InputSpec
    rectified: ImageSpec | None
    theta: ThetaSpec
    score: ScoreSpec | None
    class_scores: ClassScoresSpec | None
    flatbuffer_bytes: int
    flatbuffer_sha256: str
    parameters: int
    macs: int
    source_sha256: str
    converter: Mapping[str, str]
    refine: RefineSpec | None = None


def parse_metadata(text: bytes) -> Metadata:
    """Reads metadata.json and checks that every key is there and has the right type and range.

    Raises:
        DataError: it is not, and which key is wrong.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"metadata.json is not JSON ({error})") from None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        found = values.get("format") if isinstance(values, dict) else None
        raise DataError(f"its format is {found!r}, this version of stn-rectify reads {FORMAT!r}")
    root = _Object(values, "")
    outputs, flatbuffer = root.child("outputs"), root.child("flatbuffer")
    in_graph = root.text("kind", "in-graph", "pose-only") == "in-graph"
    transform = root.text("transform", *THETA_SIZE)
    if not in_graph:
        outputs.expect_null("rectified")
    frame = _input(root.child("input"))
    return Metadata(
        name=root.text("name"),
        description=root.text("description"),
        kind=root.text("kind"),
        transform=transform,
        padding=root.text("padding", "zeros", "border"),
        coordinates=root.text("coordinates"),
        input=frame,
        rectified=_image(outputs.child("rectified")) if in_graph else None,
        theta=_theta(outputs.child("theta"), THETA_SIZE[transform]),
        score=None if outputs.is_null("score") else _score(outputs.child("score")),
        class_scores=_class_scores(outputs) if in_graph else None,
        flatbuffer_bytes=flatbuffer.integer("bytes", 8),
        flatbuffer_sha256=flatbuffer.text("sha256"),
        parameters=root.integer("parameters"),
        macs=root.integer("macs"),
        source_sha256=root.text("source_sha256"),
        converter=root.child("converter").texts(),
        refine=_refine(root, transform, frame),
    )


def _image(values: _Object) -> ImageSpec:
    return ImageSpec(
        height=values.integer("height", 1, _MAX_SIDE),
        width=values.integer("width", 1, _MAX_SIDE),
        channels=values.integer("channels", 1, _MAX_CHANNELS),
    )


def _input(values: _Object) -> InputSpec:
    image = _image(values)
    colour = values.text("colour", "RGB", "GREY", "OTHER")
    if image.channels != _CHANNELS.get(colour, image.channels):
        raise DataError(f"metadata.json: input has {image.channels} channels, but its colour is {colour}")
    low, high = values.pair("value_range")
    if not low < high:
        raise DataError(f"metadata.json: input.value_range [{low}, {high}] is empty")
    return InputSpec(
        **vars(image),
        colour=colour,
        value_range=(low, high),
        scale=values.positive("scale"),
        zero_point=values.integer("zero_point", -128, 127),
    )


def _theta(values: _Object, size: int) -> ThetaSpec:
    return ThetaSpec(values.integer("size", size, size), values.integer("fractional_bits", 0, 31))


def _score(values: _Object) -> ScoreSpec:
    return ScoreSpec(values.positive("scale"), values.integer("zero_point", -128, 127))


def _class_scores(outputs: _Object) -> ClassScoresSpec | None:
    """None in files without a recognizer; the first of them do not name it at all."""
    if outputs.is_null("class_scores", missing=True):
        return None
    values = outputs.child("class_scores")
    return ClassScoresSpec(
        size=values.integer("size", 2, _MAX_CLASSES),
        scale=values.positive("scale"),
        zero_point=values.integer("zero_point", -128, 127),
        activation=values.text("activation", "softmax", "sigmoid", "logits"),
    )


def _refine(root: _Object, transform: str, frame: InputSpec) -> RefineSpec | None:
    """None in files of one network; the first of them do not name it at all."""
    if root.is_null("refine", missing=True):
        return None
    if transform == "tps":
        raise DataError("metadata.json has a refine network for a thin-plate spline, which has no homography to refine")
    values = root.child("refine")
    crop = _input(values.child("input"))
    # A crop has the frame's channels: both networks must make do with them.
    if (frame.colour == "OTHER" or crop.colour == "OTHER") and (crop.colour, crop.channels) != (
        frame.colour,
        frame.channels,
    ):
        raise DataError(
            f"metadata.json: refine.input has {crop.channels} channels, colour {crop.colour}, but the frame has "
            f"{frame.channels}, colour {frame.colour}"
        )
    return RefineSpec(
        input=crop,
        theta=_theta(values.child("theta"), THETA_SIZE["projective"]),
        score=None if values.is_null("score") else _score(values.child("score")),
        margin=values.number("margin", 0, MAX_MARGIN),
        passes=values.integer("passes", 0, MAX_PASSES),
        parameters=values.integer("parameters"),
        macs=values.integer("macs"),
    )


class _Object:
    """A JSON object whose values are taken out with their type; ``where`` names it in messages."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values, self._where = values, where

    def child(self, key: str) -> _Object:
        value = self._get(key)
        if not isinstance(value, dict):
            raise self._wrong(key, "an object")
        return _Object(value, f"{self._where}{key}.")

    def text(self, key: str, *choices: str) -> str:
        value = self._get(key)
        if not isinstance(value, str) or (choices and value not in choices):
            raise self._wrong(key, " or ".join(choices) or "a text")
        return value

    def texts(self) -> dict[str, str]:
        return {key: self.text(key) for key in self._values}

    def integer(self, key: str, minimum: int = 0, maximum: int = 2**53) -> int:
        value = self._get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
            raise self._wrong(key, f"a whole number from {minimum} to {maximum}")
        return value

    def number(self, key: str, minimum: float, maximum: float) -> float:
        value = self._get(key)
        if not _is_number(value) or not minimum <= value <= maximum:
            raise self._wrong(key, f"a number from {minimum:g} to {maximum:g}")
        return float(value)

    def positive(self, key: str) -> float:
        value = self._get(key)
        if not _is_number(value) or value <= 0:
            raise self._wrong(key, "a number above 0")
        return float(value)

    def pair(self, key: str) -> tuple[float, float]:
        value = self._get(key)
        if not isinstance(value, list) or len(value) != 2 or not all(map(_is_number, value)):
            raise self._wrong(key, "two numbers")
        return float(value[0]), float(value[1])

    def is_null(self, key: str, *, missing: bool = False) -> bool:
        """Whether the value is null; with ``missing`` also whether it is not there."""
        return (missing and key not in self._values) or self._get(key) is None

    def expect_null(self, key: str) -> None:
        if not self.is_null(key):
            raise self._wrong(key, "null in a pose-only file")

    def _get(self, key: str) -> Any:
        if key not in self._values:
            raise DataError(f"metadata.json lacks {self._where}{key}")
        return self._values[key]

    def _wrong(self, key: str, expected: str) -> DataError:
        return DataError(f"metadata.json: {self._where}{key} is {self._values[key]!r:.60}, expected {expected}")


def _is_number(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # JSON's whole numbers have no bound, a float has
        return False
