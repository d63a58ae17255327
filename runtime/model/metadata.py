"""What a model file says in its metadata.json; the format is written down in docs/model-file.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import THETA_SIZE
from stn_rectify.runtime.model.json_object import JsonObject

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

    def value(self, level: int) -> float:
        """The score of an int8 level, 0 to 1."""
        return min(1.0, max(0.0, (level - self.zero_point) * self.scale))


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
    """The file's second network, which improves a pose (`stn_rectify.runtime.rectifying.refinement`).

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
        if str(found).startswith("stn-rectify-recognizer/"):
            raise DataError(
                "it is the file of a recognizer: give it as the recognizer (--recognizer), not as the model"
            )
        raise DataError(f"its format is {found!r}, this version of stn-rectify reads {FORMAT!r}")
    root = JsonObject(values, "metadata.json")
    outputs, flatbuffer = root.child("outputs"), root.child("flatbuffer")
    in_graph = root.text("kind", "in-graph", "pose-only") == "in-graph"
    transform = root.text("transform", *THETA_SIZE)
    if not in_graph:
        outputs.expect_null("rectified", "in a pose-only file")
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


def _image(values: JsonObject) -> ImageSpec:
    return ImageSpec(
        height=values.integer("height", 1, _MAX_SIDE),
        width=values.integer("width", 1, _MAX_SIDE),
        channels=values.integer("channels", 1, _MAX_CHANNELS),
    )


def _input(values: JsonObject) -> InputSpec:
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


def _theta(values: JsonObject, size: int) -> ThetaSpec:
    return ThetaSpec(values.integer("size", size, size), values.integer("fractional_bits", 0, 31))


def _score(values: JsonObject) -> ScoreSpec:
    return ScoreSpec(values.positive("scale"), values.integer("zero_point", -128, 127))


def _class_scores(outputs: JsonObject) -> ClassScoresSpec | None:
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


def _refine(root: JsonObject, transform: str, frame: InputSpec) -> RefineSpec | None:
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
