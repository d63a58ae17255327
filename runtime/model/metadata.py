"""The content of metadata.json in model and recognizer files: one schema for who writes it and who reads it.

The format is written down in docs/reference/model-file.md. Types and ranges are checked when a file is read; that parts
fit each other, whenever an object is made. Keys that the schema does not know are skipped: a newer version may write
more.
"""

from __future__ import annotations

import codecs
import json
from typing import Annotated, TypeVar

import msgspec
import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType

from stn_rectify.runtime.arrays import Array, FloatArray
from stn_rectify.runtime.errors import DataError, first_line
from stn_rectify.runtime.geometry import THETA_SIZE

#: The values of ``format`` that this version reads: of a model's file, and of a recognizer's.
FORMAT = "stn-rectify/1"
RECOGNIZER_FORMAT = "stn-rectify-recognizer/1"
#: That of a network with samplers inside whose outputs are no class scores alone.
NETWORK_FORMAT = "stn-rectify-network/1"

#: More refinement passes and a wider margin around a crop than these are a mistake.
MAX_PASSES = 100
MAX_MARGIN = 4.0

#: More details of each size of a target than this no turn network may look at.
MAX_DETAILS = 16
#: A turn counts from this probability on, unless the file says otherwise.
TURN_THRESHOLD = 0.8

_CHANNELS = {"RGB": 3, "BGR": 3, "GREY": 1}
_TURNS = 4


def _one_of(*words: str) -> Meta:
    return Meta(pattern=rf"^({'|'.join(words)})\Z")


_Side = Annotated[int, Meta(ge=1, le=16384)]
_Count = Annotated[int, Meta(ge=0, le=2**53)]
_ZeroPoint = Annotated[int, Meta(ge=-128, le=127)]
_Scale = Annotated[float, Meta(gt=0)]
_PixelValue = Annotated[float, Meta(gt=-1e9, lt=1e9)]


class ImageSpec(Struct, frozen=True):
    """Size of an image tensor, pixels."""

    height: _Side
    width: _Side
    channels: Annotated[int, Meta(ge=1, le=64)]


class InputSpec(ImageSpec, frozen=True):
    """The network's input: what pixel values 0 and 255 mean to it, and how they are quantized.

    Raises:
        ValueError: if the colour has another number of channels, or the range of values is empty.
    """

    colour: Annotated[str, _one_of(*_CHANNELS, "OTHER")]
    value_range: tuple[_PixelValue, _PixelValue]
    scale: _Scale
    zero_point: _ZeroPoint

    def __post_init__(self) -> None:
        if self.channels != _CHANNELS.get(self.colour, self.channels):
            raise ValueError(f"{self.channels} channels do not fit the colour {self.colour}")
        low, high = self.value_range
        if not low < high:
            raise ValueError(f"the value_range [{low}, {high}] is empty")


class ThetaSpec(Struct, frozen=True):
    """The stored form of θ: ``size`` int32 numbers, to be divided by 2^``fractional_bits``."""

    size: int
    fractional_bits: Annotated[int, Meta(ge=0, le=31)]

    def value(self, stored: Array) -> FloatArray:
        """θ of its int32 numbers, float64 of the same shape."""
        return np.asarray(stored / 2.0**self.fractional_bits)


class ScoreSpec(Struct, frozen=True):
    """The quantization of the score, which is ``(int8 - zero_point) * scale``."""

    scale: _Scale
    zero_point: _ZeroPoint

    def value(self, level: int) -> float:
        """The score of an int8 level, 0 to 1."""
        return min(1.0, max(0.0, (level - self.zero_point) * self.scale))


class ClassScoresSpec(Struct, frozen=True, kw_only=True):
    """The class scores of a recognizer: ``size`` int8 numbers, quantized as the score is.

    Attributes:
        size: the number of classes.
        steps: of a recognizer that reads texts, in each of which it gives scores; left out of others.
        scale: of the quantization.
        zero_point: of the quantization.
        activation: ``"softmax"``: they add up to 1; ``"sigmoid"``: each for itself from 0 to 1; or ``"logits"``.
    """

    size: Annotated[int, Meta(ge=2, le=65536)]
    steps: _Count | UnsetType = UNSET
    scale: _Scale
    zero_point: _ZeroPoint
    activation: Annotated[str, _one_of("softmax", "sigmoid", "logits")]


class OutputsSpec(Struct, frozen=True):
    """The outputs of a model's main network; None: it lacks it."""

    rectified: ImageSpec | None
    theta: ThetaSpec
    score: ScoreSpec | None
    class_scores: ClassScoresSpec | None = None  # the first files do not name it


class FlatbufferSpec(Struct, frozen=True):
    """The model file without its archive: length, and SHA-256 in hexadecimal digits."""

    bytes: Annotated[int, Meta(ge=8, le=2**53)]
    sha256: str


class RefineSpec(Struct, frozen=True):
    """The file's second network, which improves a pose (`stn_rectify.runtime.rectifying.refining.refinement`).

    Attributes:
        input: of the crop around the target.
        theta: target → crop coordinates, the eight numbers of a homography.
        score: is a target there? None if the network does not say.
        margin: what a crop shows beyond each edge of the target, as a share of the target's side.
        passes: how many a `Rectifier` makes that is not told.
        parameters: of the network.
        macs: multiply-accumulates of one pass.

    Raises:
        ValueError: if θ is not the eight numbers of a homography.
    """

    input: InputSpec
    theta: ThetaSpec
    score: ScoreSpec | None
    margin: Annotated[float, Meta(ge=0, le=MAX_MARGIN)]
    passes: Annotated[int, Meta(ge=0, le=MAX_PASSES)]
    parameters: _Count
    macs: _Count

    def __post_init__(self) -> None:
        _check_theta(self.theta, "projective")


class WholeSpec(Struct, frozen=True):
    """A dense file's look at the whole frame (`stn_rectify.runtime.rectifying.searching.whole_look`).

    Its network sees the frame once, and finds one target, the largest as a rule.

    Attributes:
        input: of the whole frame.
        theta: target → frame, the numbers of an affine map or of a homography.
        score: is a target there? None if the network does not say.
        weight: its scores count this much beside those of the dense network.
        parameters: of the network.
        macs: multiply-accumulates of a look.

    Raises:
        ValueError: if θ is not the numbers of such a map.
    """

    input: InputSpec
    theta: ThetaSpec
    score: ScoreSpec | None
    weight: Annotated[float, Meta(gt=0, le=1)]
    parameters: _Count
    macs: _Count

    def __post_init__(self) -> None:
        _check_theta(self.theta, "affine" if self.theta.size == THETA_SIZE["affine"] else "projective")


class TurnSpec(Struct, frozen=True):
    """The file's last network, which says which side of a rectified target is up.

    Attributes:
        input: of the rectified target, a square: the target without a margin, with its aspect (at most 4), in the
            middle of grey pixels of the value 128; or a square detail of it.
        scores: of the four classes: 0, 1, 2 or 3 quarters clockwise make the target upright.
        threshold: a class counts from this probability on; below it nothing is known.
        parameters: of the network.
        macs: multiply-accumulates of one look.
        details: how many details of each size are looked at, at most; 0: only the whole target is.

    Raises:
        ValueError: if there are not four classes of one look, or the input is no square.
    """

    input: InputSpec
    scores: ClassScoresSpec
    threshold: Annotated[float, Meta(ge=0, le=1)]
    parameters: _Count
    macs: _Count
    details: Annotated[int, Meta(ge=0, le=MAX_DETAILS)] = 0

    def __post_init__(self) -> None:
        if self.scores.size != _TURNS or self.scores.steps is not UNSET:
            raise ValueError(f"turn.scores has {self.scores.size} classes, but there are {_TURNS} turns")
        if self.input.height != self.input.width:
            raise ValueError(f"turn.input is {self.input.width}x{self.input.height}, but must be a square")


class LevelSpec(Struct, frozen=True):
    """One level of the pyramid that a dense network sees: a subgraph of the file, of the same weights as the others.

    Attributes:
        signature: the key of its SignatureDef.
        height: of the frame at this level, pixels.
        width: of the frame at this level, pixels.
    """

    signature: str
    height: _Side
    width: _Side


class DenseSpec(Struct, frozen=True):
    """A dense localization network: a score and corners at every cell of a coarse grid, for each level of a pyramid.

    A cell of row r and column c looks at the pixel ``(stride · c + (stride - 1) / 2, …r…)`` of its level.

    Attributes:
        levels: finest first, in the order of the subgraphs.
        stride: pixels of a level for each cell, along both sides.
        unit: pixels of a level that one unit of the corners is.
        score: quantization of the scores, int8 [1, rows, columns, 1]: is the cell inside a target?
        corners: quantization of the corners, int8 [1, rows, columns, 8]: x and y of TL, TR, BR, BL of that target, in
            units, from the pixel that the cell looks at.

    Raises:
        ValueError: if a level is no whole number of cells.
    """

    levels: Annotated[tuple[LevelSpec, ...], Meta(min_length=1, max_length=16)]
    stride: Annotated[int, Meta(ge=1, le=256)]
    unit: Annotated[float, Meta(gt=0)]
    score: ScoreSpec
    corners: ScoreSpec

    def __post_init__(self) -> None:
        for level in self.levels:
            if level.height % self.stride or level.width % self.stride:
                raise ValueError(
                    f"the level {level.width}x{level.height} is no whole number of cells of {self.stride} pixels"
                )
        if len({level.signature for level in self.levels}) < len(self.levels):
            raise ValueError("two levels have the same signature")


class Metadata(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="format", tag=FORMAT):
    """The content of a model's metadata.json, in the order in which it is written.

    Raises:
        ValueError: if parts do not fit each other; the message says which.
    """

    name: str
    description: str
    kind: Annotated[str, _one_of("in-graph", "pose-only", "dense")]
    transform: Annotated[str, _one_of(*THETA_SIZE)]
    padding: Annotated[str, _one_of("zeros", "border", "cut")]
    coordinates: str
    input: InputSpec
    outputs: OutputsSpec | None = None  # of a network that sees the frame once
    dense: DenseSpec | None = None  # or of one that looks everywhere; the input is that of its finest level
    parameters: _Count
    macs: _Count
    source_sha256: str
    converter: dict[str, str]
    whole: WholeSpec | None = None  # of a dense file: a network that sees the frame once, besides
    refine: RefineSpec | None = None  # files of one network do not name it
    turn: TurnSpec | None = None  # nor this
    min_score: Annotated[float, Meta(ge=0, le=1)] | None = None  # from which on a target counts as found
    flatbuffer: FlatbufferSpec

    def __post_init__(self) -> None:
        if (self.outputs is None) != (self.kind == "dense") or (self.dense is None) != (self.kind != "dense"):
            raise ValueError("a dense file must have dense and no outputs, and any other outputs and no dense")
        if self.theta is not None:
            _check_theta(self.theta, self.transform)
        if self.dense is not None:
            self._check_dense(self.dense)
        if (self.kind == "in-graph") != (self.rectified is not None):
            raise ValueError("outputs.rectified must be an image in an in-graph file, and null in a pose-only one")
        if self.whole is not None:
            self._check_whole(self.whole.input)
        if self.refine is not None:
            self._check_refine(self.refine.input)
        if self.turn is not None:
            self._check_turn(self.turn.input)

    def _check_dense(self, dense: DenseSpec) -> None:
        finest = dense.levels[0]
        if (finest.height, finest.width) != (self.input.height, self.input.width):
            raise ValueError("the input is not that of the first level")
        if self.transform != "projective":
            raise ValueError(f"transform is {self.transform}, but four corners are projective")

    def _check_whole(self, frame: InputSpec) -> None:
        if self.dense is None:
            raise ValueError("there is a whole network, which has a place in dense files only")
        self._check_colour("whole", frame)

    def _check_refine(self, crop: InputSpec) -> None:
        if self.transform == "tps":
            raise ValueError("there is a refine network for a thin-plate spline, which has no homography to refine")
        self._check_colour("refine", crop)

    def _check_turn(self, crop: InputSpec) -> None:
        if self.transform == "tps":
            raise ValueError("there is a turn network for a thin-plate spline, whose target cannot be turned")
        self._check_colour("turn", crop)

    def _check_colour(self, network: str, crop: InputSpec) -> None:
        """A crop, as a smaller copy, has the frame's channels: both networks must make do with them."""
        own = "OTHER" in (self.input.colour, crop.colour)
        if own and (crop.colour, crop.channels) != (self.input.colour, self.input.channels):
            raise ValueError(
                f"{network}.input has {crop.channels} channels, colour {crop.colour}, but the frame has "
                f"{self.input.channels}, colour {self.input.colour}"
            )

    @property
    def rectified(self) -> ImageSpec | None:
        """Size of the image that the graph itself makes; None in a pose-only or dense file."""
        return None if self.outputs is None else self.outputs.rectified

    @property
    def theta(self) -> ThetaSpec | None:
        """The stored form of the pose; None in a dense file."""
        return None if self.outputs is None else self.outputs.theta

    @property
    def score(self) -> ScoreSpec | None:
        """The quantization of the score; None if the network gives none."""
        if self.dense is not None:
            return self.dense.score
        return None if self.outputs is None else self.outputs.score

    @property
    def class_scores(self) -> ClassScoresSpec | None:
        """The quantization of the class scores; None if there is no recognizer in the file."""
        return None if self.outputs is None else self.outputs.class_scores


class SamplerSpec(Struct, frozen=True):
    """A sampler inside a network: of the frame, of feature maps, or of what another one gives.

    Attributes:
        transform: of its θ.
        padding: what it reads outside its image.
        input: height, width and channels of what it reads.
        rectified: height, width and channels of its image.
    """

    transform: Annotated[str, _one_of(*THETA_SIZE)]
    padding: Annotated[str, _one_of("zeros", "border", "cut")]
    input: tuple[_Side, _Side, _Count]
    rectified: tuple[_Side, _Side, _Count]


class OutputSpec(Struct, frozen=True):
    """An output of a network: its name in the signature, its shape without the batch, its quantization."""

    name: str
    shape: tuple[_Count, ...]
    scale: _Scale
    zero_point: _ZeroPoint


class RecognizerMetadata(Struct, frozen=True, kw_only=True, tag_field="format", tag=RECOGNIZER_FORMAT):
    """The content of a recognizer's metadata.json, in the order in which it is written.

    Attributes:
        margin: what its images show beyond each edge of the target, as a share of the target's side; unset for 0.
        samplers: those inside it, in the order they run; unset in a recognizer without any.
    """

    name: str
    description: str
    input: InputSpec
    margin: Annotated[float, Meta(ge=0, le=MAX_MARGIN)] | UnsetType = UNSET
    class_scores: ClassScoresSpec
    samplers: tuple[SamplerSpec, ...] | UnsetType = UNSET
    parameters: _Count
    macs: _Count
    converter: dict[str, str]
    source_sha256: str
    flatbuffer: FlatbufferSpec


class NetworkMetadata(Struct, frozen=True, kw_only=True, tag_field="format", tag=NETWORK_FORMAT):
    """The content of metadata.json of a network with samplers inside that is no recognizer, as it is written."""

    name: str
    description: str
    input: InputSpec
    outputs: tuple[OutputSpec, ...]
    samplers: tuple[SamplerSpec, ...]
    parameters: _Count
    macs: _Count
    converter: dict[str, str]
    source_sha256: str
    flatbuffer: FlatbufferSpec


_Content = TypeVar("_Content")


def parse_metadata(text: bytes) -> Metadata:
    """Reads metadata.json of a model and checks that every key is there and has the right type and range.

    Raises:
        DataError: if the file is of another kind, or if a key is missing or wrong; the message says which.
    """
    kind = _format(text)
    if str(kind).startswith("stn-rectify-recognizer/"):
        raise DataError("it is the file of a recognizer: give it as the recognizer (--recognizer), not as the model")
    _refuse_network(kind)
    if kind != FORMAT:
        raise DataError(f"its format is {kind!r}, this version of stn-rectify reads {FORMAT!r}")
    return _decoded(text, Metadata)


def parse_recognizer_metadata(text: bytes) -> RecognizerMetadata | None:
    """Reads metadata.json of a recognizer.

    Returns:
        The content of the file; None if it is of another maker.

    Raises:
        DataError: if it is not JSON, or is that of a model, or if a key is missing or wrong; the message says which.
    """
    kind = _format(text)
    if str(kind).startswith("stn-rectify/"):
        raise DataError("it is the file of a spatial transformer: give it as the model, not as the recognizer")
    _refuse_network(kind)
    return _decoded(text, RecognizerMetadata) if kind == RECOGNIZER_FORMAT else None


def parse_network_metadata(text: bytes) -> NetworkMetadata:
    """Reads metadata.json of a network with samplers inside that is no recognizer.

    Raises:
        DataError: if the file is of another kind, or if a key is missing or wrong; the message says which.
    """
    kind = _format(text)
    if kind != NETWORK_FORMAT:
        raise DataError(f"its format is {kind!r}, expected {NETWORK_FORMAT!r}")
    return _decoded(text, NetworkMetadata)


def _refuse_network(kind: object) -> None:
    if str(kind).startswith("stn-rectify-network/"):
        raise DataError(
            "it is a whole network with samplers inside, whose outputs are neither a pose nor class scores alone: an "
            "app runs it with a TensorFlow Lite interpreter, by its signature serving_default"
        )


def _format(text: bytes) -> object:
    """The key ``format`` of what may be of another maker: Python's reader takes more than ours has to."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"its metadata.json is not JSON ({first_line(error)}): convert the Keras model again") from None
    return values.get("format") if isinstance(values, dict) else None


def _decoded(text: bytes, content: type[_Content]) -> _Content:
    try:
        return msgspec.json.decode(text.removeprefix(codecs.BOM_UTF8), type=content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error).replace(r"^(", "one of ").replace(r")\\Z", "")  # of a choice of words, a pattern
        raise DataError(f"its metadata.json is damaged ({reason}): convert the Keras model again") from None


def _check_theta(theta: ThetaSpec, transform: str) -> None:
    size = THETA_SIZE[transform]
    if theta.size != size:
        raise ValueError(f"theta.size is {theta.size}, but the transform {transform} has {size} numbers")
