"""The cost of a model: parameters and multiply-accumulates, stage by stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import keras
from keras import layers

from stn_rectify.models.network.layers import AffineGrid, BilinearSampler, ProjectiveGrid, ThinPlateSplineGrid

__all__ = ["GRID_MACS", "SAMPLER_MACS", "StageCost", "StnCost", "stn_cost"]

#: The stages in the order they run.
STAGES = ("localization", "head", "grid", "sampler", "other")

#: Multiplications a grid point, and a sampled value: two horizontal interpolations and a vertical one.
GRID_MACS = {"affine": 4, "projective": 6, "tps": 2 * 16}
SAMPLER_MACS = 3 * 2
_GRIDS = (AffineGrid, ProjectiveGrid, ThinPlateSplineGrid)


@dataclass(frozen=True)
class StageCost:
    """Parameters and multiply-accumulates (one frame) of one stage."""

    stage: str
    parameters: int
    macs: int


@dataclass(frozen=True)
class StnCost:
    """The stages of a model and their sum; ``str()`` is a table."""

    stages: tuple[StageCost, ...]

    @property
    def parameters(self) -> int:
        """All weights, those of batch normalization included (they are folded away in a converted file)."""
        return sum(stage.parameters for stage in self.stages)

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one frame."""
        return sum(stage.macs for stage in self.stages)

    def __str__(self) -> str:
        rows = [*self.stages, StageCost("total", self.parameters, self.macs)]
        lines = [f"{'stage':<14}{'parameters':>12}{'MACs':>14}"]
        return "\n".join(lines + [f"{r.stage:<14}{r.parameters:>12,}{r.macs:>14,}" for r in rows])


def stn_cost(model: keras.Model) -> StnCost:
    """Counts parameters and multiply-accumulates of a built model for one frame.

    Convolutions and dense layers are counted exactly; normalization, activations and pooling as nothing (they are
    folded into the convolutions or are a few additions). A grid point costs 4 (affine), 6 (projective) or 32 (a spline
    through 16 points) multiplications, a sampled value 6: two horizontal interpolations and a vertical one, two
    products each.
    """
    totals = {stage: [0, 0] for stage in STAGES}
    for stage, layer in _layers_by_stage(model):
        totals[stage][0] += layer.count_params()
        totals[stage][1] += _layer_macs(layer)
    return StnCost(tuple(StageCost(s, p, m) for s, (p, m) in totals.items() if p or m))


def _layers_by_stage(model: keras.Model) -> Iterator[tuple[str, Any]]:
    kinds: dict[type, str] = {**dict.fromkeys(_GRIDS, "grid"), BilinearSampler: "sampler"}
    flat = [layer for layer in model._flatten_layers(include_self=False) if not isinstance(layer, keras.Model)]
    sampled = next((k for k, layer in enumerate(flat) if isinstance(layer, BilinearSampler)), len(flat))
    for position, layer in enumerate(flat):
        if type(layer) in kinds:
            yield kinds[type(layer)], layer
        elif layer.name in ("theta", "score"):
            yield "head", layer
        else:
            yield ("localization" if position < sampled else "other"), layer


def _product(shape: Any) -> int:
    return prod(int(n) for n in shape)


def _layer_macs(layer: Any) -> int:
    if isinstance(layer, layers.DepthwiseConv2D | layers.Conv2D):
        return _product(layer.output.shape[1:3]) * _product(layer.kernel.shape)
    if isinstance(layer, layers.SeparableConv2D):
        kernels = _product(layer.depthwise_kernel.shape) + _product(layer.pointwise_kernel.shape)
        return _product(layer.output.shape[1:3]) * kernels
    if isinstance(layer, layers.Dense):
        return _product(layer.output.shape[1:-1]) * _product(layer.kernel.shape)
    if isinstance(layer, _GRIDS):
        return _product(layer.output_size) * GRID_MACS[layer.transform]
    if isinstance(layer, BilinearSampler):
        return _product(layer.output.shape[1:]) * SAMPLER_MACS
    return 0
