"""Finds every sampler of a graph, wherever it stands: of the frame or of feature maps, several, behind each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from stn_rectify.converters.reading.foreign.frozen_graph import FrozenGraph, described
from stn_rectify.converters.reading.foreign.sampler_site import (
    PRODUCTS,
    SamplerRead,
    SamplerSite,
    has_theta,
    is_row,
    reads_of_places,
    refuse_loops,
    theta_candidates,
)
from stn_rectify.runtime.errors import ModelFileError

# What moves pixels and changes none, between an image and the operation that reads it.
_MOVES = ("EnsureShape", "ExpandDims", "Identity", "Pad", "PadV2", "Reshape", "Squeeze", "StopGradient", "Transpose")


def find_samplers(graph: FrozenGraph) -> tuple[SamplerSite, ...]:
    """Finds what reads an image at places that depend on the frame: samplers, whatever they are made of.

    Returns:
        One site for each, in the order they run.

    Raises:
        ModelFileError: if there is none, what one reads is no image, or nothing lies before its places that could be θ.
    """
    refuse_loops(graph)
    reads = reads_of_places(graph)
    by_products = not reads
    if by_products:
        reads = _products_with_weights(graph)
    if not reads:
        raise ModelFileError(
            f"{graph.name}: has no sampler: nothing in it reads an image at places that depend on the frame; a "
            "recognizer of its own is called NAME.recognizer.keras"
        )
    order = {tensor.ref(): number for number, tensor in enumerate(graph.of_frame)}
    sites = [_site(graph, group) for group in _grouped(graph, reads, by_products=by_products)]
    return tuple(sorted(sites, key=lambda site: order[site.rectified.ref()]))


def _products_with_weights(graph: FrozenGraph) -> list[SamplerRead]:
    """Where an image is multiplied by weights that are made from a row of numbers: each sampler's first product."""
    known = {t.ref() for t in graph.of_frame}
    found: list[SamplerRead] = []
    for op in graph.operations:
        if op.type not in PRODUCTS or len(op.inputs) != 2 or not graph.depends(graph.outputs, op.outputs[0]):
            continue
        for image, weights in (tuple(op.inputs), tuple(op.inputs)[::-1]):
            is_known = image.ref() in known and weights.ref() in known and bool(_images(graph, image))
            if is_known and not _images(graph, weights) and has_theta(graph, weights):
                found.append(SamplerRead(image, weights, op.outputs[0]))
    return [_from_the_first(graph, read, found) for read in found]


def _from_the_first(graph: FrozenGraph, read: SamplerRead, products: Sequence[SamplerRead]) -> SamplerRead:
    """A product as one of the image that its sampler reads: one for the rows is followed by one for the columns."""
    theta = theta_candidates(graph, [read.places])[0]
    for other in products:
        is_before = other is not read and graph.depends([read.image], other.pixels)
        if is_before and theta_candidates(graph, [other.places])[0] is theta:
            return SamplerRead(other.image, read.places, read.pixels)
    return read


def _grouped(graph: FrozenGraph, reads: Sequence[SamplerRead], *, by_products: bool) -> list[list[SamplerRead]]:
    """The reads of each sampler: those of one image at places that are made from one row of numbers.

    It is the last row that all places are made from; of products, which have rows of places for each axis, the first.
    """
    groups: dict[tuple[str, str], list[SamplerRead]] = {}
    for read in reads:
        images = _images(graph, read.image)
        if not images:
            raise ModelFileError(
                f"{graph.name}: {described(read.pixels)} reads {described(read.image)} at places that depend on the "
                "frame, but that is no image [batch, height, width, channels] of fixed size: only images are sampled"
            )
        row = theta_candidates(graph, [read.places])[0 if by_products else -1]
        groups.setdefault((images[0].name, row.name), []).append(read)
    return list(groups.values())


def _images(graph: FrozenGraph, tensor: Any) -> list[Any]:
    """What a tensor is, as an image [B, H, W, C], before its pixels were moved; the earliest first."""
    found: list[Any] = []
    known = {t.ref() for t in graph.of_frame}
    while tensor.ref() in known:
        shape = graph.shape(tensor)
        if shape is not None and len(shape) == 4 and None not in shape[1:]:
            found.insert(0, tensor)
        if tensor is graph.frame or tensor.op.type not in _MOVES:
            break
        tensor = tensor.op.inputs[0]
    return found


def _site(graph: FrozenGraph, reads: Sequence[SamplerRead]) -> SamplerSite:
    thetas = theta_candidates(graph, [read.places for read in reads])
    pixels = [read.pixels for read in reads]
    for image in _images(graph, reads[0].image):
        shape = graph.shape(image)
        assert shape is not None
        _, height, width, channels = (n or 0 for n in shape)
        for rectified, size in _rectified(graph, reads, thetas[-1], channels):
            return SamplerSite(tuple(thetas), rectified, size, image, (height, width, channels))
    raise ModelFileError(
        f"{graph.name}: {described(pixels[0])} samples, but what comes of it is at no point an image of fixed size, of "
        "as many channels as what it reads, that all that follows is made from; let the sampler give such an image"
    )


def _rectified(
    graph: FrozenGraph, reads: Sequence[SamplerRead], theta: Any, channels: int
) -> Iterator[tuple[Any, tuple[int, int]]]:
    """Images through which all goes that the outputs know of the pixels read and of the grid, and their h and w.

    What they know of θ itself, on a way that does not lead over the grid, is their own.
    """
    above = graph.ancestors([read.places for read in reads], [theta])
    after = [t for t in graph.of_frame if t.ref() in above and t is not theta and graph.depends([t], theta)]
    inside = {t.ref() for t in after if not is_row(graph, t)} | {read.pixels.ref() for read in reads}
    outputs = [t for t in graph.outputs if any(graph.depends([t], read.pixels) for read in reads)]
    for image in graph.of_frame:
        shape = graph.shape(image)
        if shape is None or len(shape) != 4 or shape[3] != channels:
            continue
        _, height, width, _ = shape
        if height is None or width is None or not any(graph.depends([image], read.pixels) for read in reads):
            continue
        if not (graph.ancestors(outputs, [image]) & inside) - {image.ref()}:
            yield image, (height, width)
