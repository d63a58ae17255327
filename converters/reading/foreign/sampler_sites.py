"""Finds every sampler of a graph, wherever it stands: of the frame or of feature maps, several, behind each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from stn_rectify.converters.reading.foreign.frozen_graph import FrozenGraph, described
from stn_rectify.converters.reading.foreign.sampler_site import (
    SamplerRead,
    SamplerSite,
    is_row,
    refuse_loops,
    sampler_reads,
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
    reads = sampler_reads(graph)
    if not reads:
        raise ModelFileError(
            f"{graph.name}: has no sampler: nothing in it reads an image at places that depend on the frame; a "
            "recognizer of its own is called NAME.recognizer.keras"
        )
    order = {tensor.ref(): number for number, tensor in enumerate(graph.of_frame)}
    sites = [_site(graph, group) for group in _grouped(graph, reads)]
    return tuple(sorted(sites, key=lambda site: order[site.rectified.ref()]))


def _grouped(graph: FrozenGraph, reads: Sequence[SamplerRead]) -> list[list[SamplerRead]]:
    """The reads of each sampler: those of one image at places that are made from one row of numbers."""
    groups: dict[tuple[str, str], list[SamplerRead]] = {}
    for read in reads:
        images = _images(graph, read.image)
        if not images:
            raise ModelFileError(
                f"{graph.name}: {described(read.pixels)} reads {described(read.image)} at places that depend on the "
                "frame, but that is no image [batch, height, width, channels] of fixed size: only images are sampled"
            )
        last = theta_candidates(graph, [read.places])[-1]
        groups.setdefault((images[0].name, last.name), []).append(read)
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
