"""Writes head and sampler as models of their own, for output_bits.py: features and frame in, θ and image out.

python tests/benchmarks/rivals/head_and_sampler_models.py DIR
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from stn_rectify.converters.integer.head import build_head, quantize_head
from stn_rectify.converters.integer.sampler import build_sampler
from stn_rectify.converters.integer.sampler_plan import SamplerPlan
from stn_rectify.converters.tflite.graph import FlatbufferGraph, Quantization
from stn_rectify.runtime.geometry import identity_theta

SIZES = ((32, 32, 1), (50, 50, 2), (64, 64, 3), (97, 97, 3), (128, 128, 3), (224, 224, 3))
FEATURES = Quantization(6 / 255, -128)


def head_and_sampler(transform: str, padding: str, size: tuple[int, int, int]) -> bytes:
    """A model with seeded random weights: random features give turns, zooms and perspectives around the identity."""
    rng = np.random.default_rng(size[0])
    plan = SamplerPlan(transform, padding, size[:2], size[:2], size[2], -128)
    bias = identity_theta(transform)
    kernel = rng.normal(0, 0.02, (48, len(bias)))
    head = quantize_head(kernel, bias - 3 * kernel.sum(axis=0), FEATURES, plan)
    graph = FlatbufferGraph()
    features = graph.input((1, 48), "int8", FEATURES)
    frame = graph.input((1, *size), "int8", Quantization(1 / 255, -128))
    coefficients, theta = build_head(graph, features, head)
    assert coefficients is not None
    rectified = build_sampler(graph, frame, coefficients, plan)
    return graph.finish({"features": features, "frame": frame}, {"rectified": rectified, "theta": theta})


def main() -> None:
    """Writes the models."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for transform in ("affine", "projective", "tps"):
        for padding in ("zeros", "border"):
            for size in SIZES:
                name = f"{transform}_{padding}_{'x'.join(map(str, size))}.tflite"
                (out / name).write_bytes(head_and_sampler(transform, padding, size))


if __name__ == "__main__":
    main()
