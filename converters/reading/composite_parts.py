"""Takes a network apart at its samplers, wherever they stand: what lies between them is one function, cut there.

Of each sampler are measured, as of an STN at the frame: what its θ means, which padding it has, and the linear function
that gives it. All else stays together: a function of the frame and of the samplers' images, which are inputs of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from stn_rectify.converters.reading.foreign.convention import Convention
from stn_rectify.converters.reading.foreign.coordinates import Levels
from stn_rectify.converters.reading.foreign.frozen_graph import FrozenGraph, Scaling, described
from stn_rectify.converters.reading.foreign.sampler_site import SamplerSite
from stn_rectify.converters.reading.foreign.sampler_sites import find_samplers
from stn_rectify.converters.reading.graph_check import check_operations
from stn_rectify.converters.reading.measured_sampler import SamplerReader
from stn_rectify.converters.reading.stn_parts import run_in_batches
from stn_rectify.converters.tflite.quantizer import NamedFunction, TensorFunction
from stn_rectify.runtime.errors import ModelFileError

#: Names of the tensors at the cuts: the frame; of each sampler what it reads, the features before θ, its image, θ.
IMAGE, MAP, FEATURES, SAMPLED, THETA = "image", "map", "features", "sampled", "theta"


@dataclass(frozen=True)
class SamplerParts:
    """One sampler of a network, taken apart.

    Attributes:
        number: from 1 on, in the order they run.
        source: the name of what it reads: `IMAGE`, another sampler's `sampled`, or an output of the remainder.
        features: the name of what the linear function before θ is applied to, an output of the remainder.
        kernel: of the linear function that gives θ, float32 [F, 6, 8 or 32].
        bias: float32 [6, 8 or 32].
        transform: ``"affine"``, ``"projective"`` or ``"tps"``.
        padding: ``"zeros"``, ``"border"`` or ``"cut"``.
        input_size: height and width of what it reads.
        output_size: height and width of its image.
        channels: of both.
        convention: of a sampler that is not ours; None: it is.
    """

    number: int
    source: str
    features: str
    kernel: npt.NDArray[np.float32] = field(repr=False)
    bias: npt.NDArray[np.float32] = field(repr=False)
    transform: str
    padding: str
    input_size: tuple[int, int]
    output_size: tuple[int, int]
    channels: int
    convention: Convention | None

    @property
    def sampled(self) -> str:
        """The name of its image."""
        return f"{SAMPLED}_{self.number}"

    @property
    def theta(self) -> str:
        """The name of its θ."""
        return f"{THETA}_{self.number}"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of what it reads."""
        return (*self.input_size, self.channels)

    @property
    def sampled_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of its image."""
        return (*self.output_size, self.channels)


@dataclass(frozen=True)
class CompositeParts:
    """A network with samplers anywhere in it, taken apart.

    Attributes:
        remainder: all but the samplers: `IMAGE` and the samplers' images, [B, …], by name → what they read where it is
            neither the frame nor a sampler's image, their features, and the outputs.
        inputs: the shapes of its inputs, but for the batch.
        samplers: in the order they run.
        whole: frame → outputs, and `SAMPLED` and `THETA` of each sampler, ours; float32.
        outputs: the shapes of the network's outputs by name, but for the batch, in its own order.
        places: of each output the name of what it is: an output of the remainder, or a sampler's image.
        frame_shape: height, width and channels of the frame.
        batch: the batch size that ``whole`` and ``remainder`` take; None for any.
        scaling: what the model does to pixel values first. Frames here are what comes of it.
        notes: what of the model is not in the file, a line each.
    """

    remainder: NamedFunction = field(repr=False)
    inputs: dict[str, tuple[int, ...]]
    samplers: tuple[SamplerParts, ...]
    whole: TensorFunction = field(repr=False)
    outputs: dict[str, tuple[int, ...]]
    places: dict[str, str]
    frame_shape: tuple[int, int, int]
    batch: int | None
    scaling: Scaling
    notes: tuple[str, ...] = ()

    def run(self, frames: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """The float network's outputs, images and θ, by name, for frames float32 [N, H, W, C]."""
        return run_in_batches(self.whole, frames, self.batch)


def split_composite(graph: FrozenGraph, *, accept_border: bool = False) -> CompositeParts:
    """Finds the samplers of a graph, measures them, and cuts it there.

    Args:
        graph: of the model.
        accept_border: take the nearest of our paddings where a sampler's is none of them.

    Raises:
        ModelFileError: if a sampler or what lies between them cannot be converted; the message says which node and why.
    """
    sites = find_samplers(graph)
    outputs, notes = _outputs(graph, sites)
    sampled = [site.rectified for site in sites]
    starts = [graph.frame, *sampled]
    # Before the samplers are measured, which takes seconds.
    check_operations(graph, starts, [*outputs.values(), *(t for site in sites for t in (site.thetas[0], site.image))])
    reader = SamplerReader(graph, accept_border=accept_border)
    images = {f"{SAMPLED}_{number}": site.rectified for number, site in enumerate(sites, start=1)}
    ends = _Ends({IMAGE: graph.frame, **images})
    places = {name: ends.place(name, tensor) for name, tensor in outputs.items()}
    samplers: list[SamplerParts] = []
    levels: dict[str, Levels] = {}
    thetas: dict[str, Any] = {}
    for number, site in enumerate(sites, start=1):
        pose = reader.pose(site)
        kernel, bias, features = reader.linear(pose.theta, sampled)
        convention = pose.convention
        if convention is not None:
            kernel, bias = convention.folded(kernel, bias)
            notes += convention.notes
        source, below = ends.place(f"{MAP}_{number}", site.image), ends.place(f"{FEATURES}_{number}", features)
        parts = SamplerParts(
            number, source, below, kernel, bias, pose.transform, pose.padding, site.image_shape[:2], site.size,
            site.image_shape[2], convention,
        )  # fmt: skip
        if pose.levels is not None:
            levels[parts.sampled] = pose.levels
        thetas[parts.theta] = pose.theta
        samplers.append(parts)
    inputs = _reached(graph, {IMAGE: graph.frame, **images}, ends.made)
    part = graph.part(list(inputs.values()), list(ends.made.values()))

    def remainder(given: dict[str, Any]) -> dict[str, Any]:
        values = [tf.convert_to_tensor(given[name]) for name in inputs]
        values = [levels[name].given(v) if name in levels else v for name, v in zip(inputs, values, strict=True)]
        return dict(zip(ends.made, part(*values), strict=True))

    def whole(frames: Any) -> dict[str, Any]:
        found = run_whole(frames)
        for sampler in samplers:
            if sampler.sampled in levels:
                found[sampler.sampled] = levels[sampler.sampled].undone(found[sampler.sampled])
            if sampler.convention is not None:
                found[sampler.theta] = sampler.convention.ours(found[sampler.theta])
        return found

    height, width, channels = _shape(graph, graph.frame)
    run_whole = graph.function(graph.frame, {**outputs, **images, **thetas})
    return CompositeParts(
        remainder=remainder,
        inputs={name: _shape(graph, tensor) for name, tensor in inputs.items()},
        samplers=tuple(samplers),
        whole=whole,
        outputs={name: _shape(graph, tensor) for name, tensor in outputs.items()},
        places=places,
        frame_shape=(height, width, channels),
        batch=graph.batch,
        scaling=graph.scaling,
        notes=tuple(notes),
    )


def _outputs(graph: FrozenGraph, sites: tuple[SamplerSite, ...]) -> tuple[dict[str, Any], list[str]]:
    """The outputs by name, and notes about those that are left out: the grid, and other insides of samplers."""
    inside = set()
    for site in sites:
        between = graph.ancestors([site.rectified], [site.image, *site.thetas])
        inside |= between - {t.ref() for t in (site.rectified, site.image, *site.thetas, graph.frame)}
    kept: list[Any] = []
    notes = []
    for output in graph.outputs:
        if output.ref() in inside:
            notes.append(f"{graph.name}: output {output.op.name!r} lies inside a sampler and is left out of the file")
        elif output.dtype != tf.float32 or None in _open_shape(graph, output):
            raise ModelFileError(
                f"{graph.name}: output {output.op.name!r}, {output.dtype.name} of shape {output.shape}, is no float32 "
                "tensor [batch, ...] of fixed size; save the model without it: keras.Model(model.input, [the outputs "
                "to keep])"
            )
        elif not any(output is other for other in kept):
            kept.append(output)
    if not kept:
        raise ModelFileError(f"{graph.name}: all its outputs lie inside samplers; save it with what comes of them")
    if len(kept) == 1:
        shape = _shape(graph, kept[0])
        is_scores = len(shape) in (1, 2) and min(shape) > 1
        return {"class_scores" if is_scores else "output": kept[0]}, notes
    return {f"output_{number}": output for number, output in enumerate(kept, start=1)}, notes


class _Ends:
    """What the remainder gives, each tensor once.

    Attributes:
        made: the tensors by name.
    """

    def __init__(self, starts: dict[str, Any]) -> None:
        self._names = {tensor.ref(): name for name, tensor in starts.items()}
        self.made: dict[str, Any] = {}

    def place(self, name: str, tensor: Any) -> str:
        """The name under which a tensor is there: that of a start, or as it was named first."""
        found = self._names.setdefault(tensor.ref(), name)
        if found == name:
            self.made[name] = tensor
        return found


def _reached(graph: FrozenGraph, starts: dict[str, Any], ends: dict[str, Any]) -> dict[str, Any]:
    """Those starts that the ends are made from, on a way that leads over no other."""
    known = graph.ancestors(ends.values(), starts.values())
    found = {name: tensor for name, tensor in starts.items() if tensor.ref() in known}
    if not found:
        raise ModelFileError(f"{graph.name}: nothing in it is made from {described(graph.frame)}")
    return found


def _open_shape(graph: FrozenGraph, tensor: Any) -> tuple[int | None, ...]:
    shape = graph.shape(tensor)
    return (None,) if shape is None else shape[1:]


def _shape(graph: FrozenGraph, tensor: Any) -> tuple[int, ...]:
    return tuple(int(n or 0) for n in _open_shape(graph, tensor))
