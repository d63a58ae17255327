"""The mean of two refine networks of one architecture, weight by weight, as that of `general` was made.

    python tests/benchmarks/mean_network.py FIRST.refine.keras SECOND.refine.keras OUT.refine.keras [--share 0.5]

The second one began as the first (Wortsman et al. 2022, arXiv 2109.01903: the mean of a network and of what fine-tuning
made of it is often better than both). Batch normalization is folded into the layers before it, since its statistics
have no mean that means anything.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import keras
import numpy as np

from stn_rectify.models.files import REFINE
from stn_rectify.models.network.keras_file import load_model, save_model


def layers_of(model: keras.Model) -> list[keras.Layer]:
    """All layers with weights, those of models inside a model in their place, each behind the one that it follows."""
    found = []
    for layer in model.layers:
        found += layers_of(layer) if isinstance(layer, keras.Model) else [layer]
    return found


def folded(layers: list[keras.Layer]) -> dict[str, list[np.ndarray]]:
    """The weights by layer, batch normalization folded into the kernel before it; its own are then the bias alone."""
    weights = {layer.name: layer.get_weights() for layer in layers}
    for before, layer in pairwise(layers):
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            scale = gamma / np.sqrt(variance + layer.epsilon)
            kernel, *bias = before.get_weights()
            is_depthwise = isinstance(before, keras.layers.DepthwiseConv2D)
            weights[before.name] = [kernel * (scale.reshape(kernel.shape[2:]) if is_depthwise else scale)]
            weights[layer.name] = [beta + scale * (sum(bias) - mean)]
    return weights


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("first", "second", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="of the first network (%(default)s)")
    parsed = parser.parse_args()
    first, second, mean = (load_model(path) for path in (parsed.first, parsed.second, parsed.second))
    pairs = zip(folded(layers_of(first)).values(), folded(layers_of(second)).values(), strict=True)
    for layer, (ours, theirs) in zip(layers_of(mean), pairs, strict=True):
        weights = [parsed.share * a + (1 - parsed.share) * b for a, b in zip(ours, theirs, strict=True)]
        if isinstance(layer, keras.layers.BatchNormalization):
            ones = np.ones_like(weights[0])
            weights = [np.sqrt(1 + layer.epsilon) * ones, weights[0], 0 * ones, ones]
        layer.set_weights(weights + [np.zeros_like(rest) for rest in layer.get_weights()[len(weights) :]])
    save_model(mean, parsed.out, REFINE)


if __name__ == "__main__":
    main()
