"""Finds the sampler of a graph: what it reads, what θ may be, and the image that it makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stn_rectify.converters.reading.foreign.frozen_graph import FrozenGraph, described, linear_source
from stn_rectify.converters.reading.stn_parts import SEVERAL_SAMPLERS
from stn_rectify.runtime.errors import ModelFileError

# Operations that read at computed places, and which of their inputs says where.
_READS_AT = {
    "Gather": 1,
    "GatherV2": 1,
    "GatherNd": 1,
    "ImageProjectiveTransformV2": 1,
    "ImageProjectiveTransformV3": 1,
    "CropAndResize": 1,
}
#: Products of matrices: of the frame with weights, one for each of its rows or columns, it is a sampler, too.
PRODUCTS = ("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum")
_CONTROL = ("Enter", "Merge", "Switch", "NextIteration", "While", "StatelessWhile", "If", "StatelessIf", "Case")
#: θ has at least and at most so many numbers: scale and shift; the 16 control points of a spline, and then some.
_FEWEST, _MOST = 2, 64


class OtherStructureError(ModelFileError):
    """A graph that is no STN at its input; as a whole it may be converted all the same (`composite_parts`).

    Attributes:
        graph: of the model.
    """

    def __init__(self, message: str, graph: FrozenGraph) -> None:
        super().__init__(message)
        self.graph = graph


@dataclass(frozen=True)
class SamplerSite:
    """Where a graph samples the frame.

    Attributes:
        thetas: the tensors [B, n] that all poses go through and that may be θ, the earliest first: what the last
            dense layer before the sampler gives, and what is made of that, by an activation say.
        rectified: the image that the sampler makes, [B, h, w, C].
        size: h and w.
        image: what the sampler reads: the frame, or another [B, H, W, C].
        image_shape: H, W and C.
    """

    thetas: tuple[Any, ...]
    rectified: Any
    size: tuple[int, int]
    image: Any
    image_shape: tuple[int, int, int]


def find_sampler(graph: FrozenGraph) -> SamplerSite:
    """Finds what reads the frame at places that depend on the frame: a sampler, whatever it is made of.

    Raises:
        ModelFileError: if there is none, it reads something else than the frame, or nothing lies between the frame and
            the places that could be θ; the message says which.
    """
    refuse_loops(graph)
    reads = reads_of_places(graph) or _products_with_weights(graph)
    if not reads:
        raise ModelFileError(
            f"{graph.name}: has no sampler: nothing in it reads the frame at places that depend on the frame; a "
            "recognizer of its own is called NAME.recognizer.keras"
        )
    _refuse_series(graph, reads)
    _refuse_features(graph, [read.image for read in reads])
    thetas = theta_candidates(graph, [read.places for read in reads])
    rectified, size = _rectified(graph, [read.pixels for read in reads], thetas[0])
    return SamplerSite(tuple(thetas), rectified, size, graph.frame, tuple(graph.frame.shape[1:]))


@dataclass(frozen=True)
class SamplerRead:
    """An operation that reads an image at places, and the pixels that come of it."""

    image: Any
    places: Any
    pixels: Any


def reads_of_places(graph: FrozenGraph) -> list[SamplerRead]:
    """What reads at computed places something that is made from the frame."""
    known = {t.ref() for t in graph.of_frame}
    reads = [
        SamplerRead(op.inputs[0], op.inputs[_READS_AT[op.type]], op.outputs[0])
        for op in graph.operations
        if op.type in _READS_AT
    ]
    return [
        read
        for read in reads
        if read.image.ref() in known and read.places.ref() in known and graph.depends(graph.outputs, read.pixels)
    ]


def _products_with_weights(graph: FrozenGraph) -> list[SamplerRead]:
    """Where the frame itself, its axes in any order, is multiplied by something that is made from it: by weights."""
    known = {t.ref() for t in graph.of_frame}
    found = []
    for op in graph.operations:
        if op.type not in PRODUCTS or len(op.inputs) != 2 or not graph.depends(graph.outputs, op.outputs[0]):
            continue
        for image, weights in (tuple(op.inputs), tuple(op.inputs)[::-1]):
            if graph.is_frame(image) and weights.ref() in known and not graph.is_frame(weights):
                found.append(SamplerRead(image, weights, op.outputs[0]))
    return found


def theta_candidates(graph: FrozenGraph, places: Sequence[Any]) -> list[Any]:
    """The tensors that may be the θ of places, the earliest first, as of `SamplerSite`.

    Raises:
        ModelFileError: if there is none.
    """
    gates = _gates(graph, places)
    if not gates and any(has_theta(graph, place) for place in places):
        raise ModelFileError(
            f"{graph.name}: has several samplers, beside each other, each with a theta of its own; {SEVERAL_SAMPLERS}"
        )
    if not gates:
        raise ModelFileError(
            f"{graph.name}: the places that {described(places[0])} gives are not made from a row of {_FEWEST} to "
            f"{_MOST} numbers for each frame: there is no theta; end the localization network with a Dense layer"
        )
    products = [k for k, t in enumerate(gates) if t.op.type == "MatMul" and linear_source(t) is not None]
    gates = gates[products[-1] :] if products else gates
    while len(gates) > 1 and (source := linear_source(gates[1])) is not None and graph.behind(source) is gates[0]:
        del gates[0]  # its bias, or another factor, follows
    return gates


def has_theta(graph: FrozenGraph, places: Any) -> bool:
    """Tells whether places are made from a row of numbers that may be θ."""
    return bool(_gates(graph, [places]))


def _gates(graph: FrozenGraph, places: Sequence[Any]) -> list[Any]:
    """The rows of numbers through which all goes that places know of the frame, the earliest first."""
    above = graph.ancestors(places)
    rows = [t for t in graph.of_frame if t.ref() in above and is_row(graph, t)]
    return list(graph.gates(places, rows, graph.frame))


def is_row(graph: FrozenGraph, tensor: Any) -> bool:
    """Tells whether a tensor has a few numbers for each frame, as θ has."""
    shape = graph.shape(tensor)
    if shape is None or len(shape) != 2 or shape[0] not in (1, graph.frame.shape[0]) or shape[1] is None:
        return False
    return tensor.dtype.is_floating and _FEWEST <= shape[1] <= _MOST


def _rectified(graph: FrozenGraph, pixels: Sequence[Any], theta: Any) -> tuple[Any, tuple[int, int]]:
    """The first image through which all goes that the outputs know of the pixels read and of θ, and its h and w."""
    channels = graph.frame.shape[3]
    outputs = [t for t in graph.outputs if any(graph.depends([t], pixel) for pixel in pixels)]
    for image in graph.of_frame:
        shape = graph.shape(image)
        if shape is None or len(shape) != 4 or shape[3] != channels:
            continue
        _, height, width, _ = shape
        if height is None or width is None or not any(graph.depends([image], pixel) for pixel in pixels):
            continue
        others = [source for source in (*pixels, theta) if source is not image]
        if not any(graph.depends(outputs, source, not_through=image) for source in others):
            return image, (height, width)
    raise ModelFileError(
        f"{graph.name}: {described(pixels[0])} samples, but what comes of it is at no point an image of {channels} "
        "channels and fixed size that all that follows is made from; save the model with the rectified image as an "
        "output, and nothing else that depends on theta"
    )


def refuse_loops(graph: FrozenGraph) -> None:
    """Refuses loops and branches that depend on the frame: parts of their inside cannot be run alone."""
    for tensor in graph.of_frame:
        if tensor.op.type in _CONTROL:
            raise ModelFileError(
                f"{graph.name}: {described(tensor)} is of a loop or a branch (a recurrent layer, tf.map_fn, "
                "tf.while_loop, tf.cond), for which there is no INT8 operator; write it for the whole batch at once, a "
                "recurrent layer as Conv1D or Dense"
            )


def _refuse_series(graph: FrozenGraph, reads: Sequence[SamplerRead]) -> None:
    """Refuses a sampler of what another makes."""
    for read in reads:
        of_others = [other for other in reads if other is not read and graph.depends([read.image], other.pixels)]
        if of_others:
            raise ModelFileError(
                f"{graph.name}: has several samplers, one after the other: {described(read.pixels)} reads what "
                f"{described(of_others[0].pixels)} gives; {SEVERAL_SAMPLERS}"
            )


def _refuse_features(graph: FrozenGraph, images: Sequence[Any]) -> None:
    """Refuses a sampler of feature maps: convolutions lie between the frame and what it reads."""
    for image in images:
        for reference in graph.ancestors([image]):
            op = reference.deref().op
            if op.type in ("Conv2D", "DepthwiseConv2dNative", "MatMul", "MaxPool"):
                raise ModelFileError(
                    f"{graph.name}: samples the output of node {op.name!r} ({op.type}), not the frame; the sampler "
                    "must read the frame itself: train it with the sampler on the frame, and those layers behind it"
                )
