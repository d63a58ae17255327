"""Repairs the head after quantization: θ's linear function refitted to the features as the file computes them.

Quantization moves features by a fraction of a step and some of that is the same in every frame; a linear function can
take it back. Ridge regression on what θ lacks, so that with little evidence the trained weights stay. Whether it helps
is judged on frames that were not fitted, and if it does not, the trained weights are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.tflite.builder import Quantization
from stn_rectify.runtime.arrays import Array

_FOLDS = 5
_FEWEST_FRAMES = 20
_PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


@dataclass(frozen=True)
class HeadRefit:
    """A linear function for θ, and how well it reads the quantized features.

    Attributes:
        kernel: float64 [F, T].
        bias: float64 [T].
        kept: whether these are refitted weights; else they are the trained ones.
        trained_error: error of each frame with the trained weights, [N].
        refitted_error: error of each frame with weights fitted on other frames, [N]; None where nothing was fitted.
    """

    kernel: Array = field(repr=False)
    bias: Array = field(repr=False)
    kept: bool
    trained_error: Array = field(repr=False)
    refitted_error: Array | None = field(repr=False)

    def table(self) -> list[dict[str, Any]]:
        """Both ways of reading θ and their errors, for the report."""
        rows = [("post-training quantization", self.trained_error, not self.kept)]
        if self.refitted_error is not None:
            rows.append(("head refitted on quantized features", self.refitted_error, self.kept))
        return [
            {
                "name": name,
                "corners_mean_px": float(error.mean()),
                "corners_p95_px": float(np.percentile(error, 95)),
                "corners_max_px": float(error.max()),
                "kept": kept,
            }
            for name, error, kept in rows
        ]


def refit_head(
    kernel: Array,
    bias: Array,
    features: npt.NDArray[np.int8],
    quantization: Quantization,
    theta: Array,
    distance: Any,
    *,
    enabled: bool = True,
) -> HeadRefit:
    """Fits the head to the features of the calibration frames.

    Args:
        kernel: as trained, [F, T].
        bias: as trained, [T].
        features: as the file computes them, int8 [N, F].
        quantization: of the features.
        theta: of the float model, [N, T].
        distance: corner distance of two θ arrays [N, T], [N, T] → [N], pixels.
        enabled: whether to fit at all.
    """
    x = (features.astype(np.float64) - quantization.zero_point) * quantization.scale
    trained = np.asarray(kernel, np.float64), np.asarray(bias, np.float64)
    target = np.asarray(theta, np.float64)
    trained_error = np.asarray(distance(x @ trained[0] + trained[1], target))
    if not enabled or len(x) < _FEWEST_FRAMES:
        return HeadRefit(*trained, False, trained_error, None)
    fold = np.arange(len(x)) % _FOLDS

    def left_out_error(penalty: float) -> Array:
        """Each frame read by weights that were fitted without it."""
        predicted = np.empty_like(target)
        for number in range(_FOLDS):
            k, b = _ridge(x[fold != number], target[fold != number], *trained, penalty)
            predicted[fold == number] = x[fold == number] @ k + b
        return np.asarray(distance(predicted, target))

    errors = {penalty: left_out_error(penalty) for penalty in _PENALTIES}
    best = min(errors, key=lambda penalty: float(errors[penalty].mean()))
    kept = bool(errors[best].mean() < trained_error.mean())
    fitted_kernel, fitted_bias = _ridge(x, target, *trained, best) if kept else trained
    return HeadRefit(fitted_kernel, fitted_bias, kept, trained_error, errors[best])


def _ridge(x: Array, target: Array, kernel: Array, bias: Array, penalty: float) -> tuple[Array, Array]:
    """Least squares for the change of the weights, with a penalty on its size in units of each feature's spread."""
    residual: Array = target - (x @ kernel + bias)
    centre, spread = x.mean(axis=0), x.std(axis=0) + 1e-9
    z = (x - centre) / spread
    # With as many equations as frames, not features: the same solution, and a wide head has thousands of features.
    change = z.T @ np.linalg.solve(z @ z.T + penalty * len(x) * np.eye(len(x)), residual - residual.mean(axis=0))
    change = change / spread[:, None]
    return kernel + change, bias + residual.mean(axis=0) - centre @ change
