"""A class more for a classifier: images that show nothing it knows.

The probabilities of a softmax add up to 1 whatever the image shows, so a classifier is sure of a bank note, too. What
tells known images from others is the features before its last Dense layer: that layer gets one more row, fitted by
logistic regression beside the rows it has, which stay as they are. So the labels of known images do not change among
each other, and nothing but built-in operators and one more number is needed on the device.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.arrays import Array, FloatArray
from stn_rectify.runtime.errors import DataError, ModelFileError
from stn_rectify.runtime.model.labels import NOTHING

#: So much of the held-out known images may be taken for nothing known, at most.
MOST_LOST = 0.002
_LEAST_IMAGES = 100  # of each kind
_MOST_FEATURES = 4096
_RIDGE = 0.01  # of the mean square of the features
_STEPS = 50
_BATCH = 256


@dataclass(frozen=True)
class Negatives:
    """Images of both kinds, as the classifier sees them; every other one is held out from the fit.

    Attributes:
        known: float32 [N, H, W, C] in the model's value range, each of one of its classes.
        unknown: float32 [M, H, W, C], of none of them.
    """

    known: npt.NDArray[np.float32] = field(repr=False)
    unknown: npt.NDArray[np.float32] = field(repr=False)

    @property
    def held_out(self) -> Negatives:
        """Those that the fit does not see."""
        return Negatives(self.known[1::2], self.unknown[1::2])

    @property
    def fitted(self) -> Negatives:
        """Those that it sees."""
        return Negatives(self.known[::2], self.unknown[::2])


def read_negatives(file: Path, input_shape: tuple[int, int, int], value_range: tuple[float, float]) -> Negatives | None:
    """Reads the file beside a recognizer; None if there is none.

    Args:
        file: .npz with ``known`` and ``unknown``, each uint8 [N, H, W, C] at the recognizer's input size.
        input_shape: height, width, channels.
        value_range: what pixel values 0 and 255 are to the model.

    Raises:
        DataError: if it cannot be read, or holds something else or too little.
    """
    if not file.is_file():
        return None
    try:
        with np.load(file) as stored:
            arrays = [np.asarray(stored[name]) for name in ("known", "unknown")]
    except (OSError, ValueError, KeyError, EOFError, TypeError, BadZipFile, zlib.error) as error:
        raise DataError(f"{file}: not an .npz file with the arrays known and unknown ({error})") from error
    low, high = value_range
    for name, array in zip(("known", "unknown"), arrays, strict=True):
        if array.dtype != np.uint8 or array.shape[1:] != input_shape or len(array) < _LEAST_IMAGES:
            expected = f"uint8 [{_LEAST_IMAGES} or more, {', '.join(map(str, input_shape))}]"
            raise DataError(f"{file}: {name} is {array.dtype} {list(array.shape)}, expected {expected}")
    known, unknown = (a * np.float32((high - low) / 255) + np.float32(low) for a in arrays)
    return Negatives(known, unknown)


def with_nothing(source: Path, model: keras.Model, negatives: Negatives) -> keras.Model:
    """The classifier with one class more, the last one: the image shows nothing it knows.

    The new row's offset is that of the regression, lowered where more than `MOST_LOST` of the held-out known images
    would be taken for nothing.

    Args:
        source: of the model, for messages.
        model: images → class scores [batch, K] of a last Dense layer, with a softmax or none behind it.
        negatives: images of both kinds.

    Raises:
        ModelFileError: if it does not end so, or has more than 4096 features there.
    """
    dense, activation = _last_dense(source, model)
    features_of = keras.Model(model.inputs, dense.input)
    kernel, bias = (np.asarray(w, np.float64) for w in (dense.kernel, dense.bias))
    if kernel.shape[0] > _MOST_FEATURES:
        raise ModelFileError(f"{source}: {kernel.shape[0]} features before its last layer, at most {_MOST_FEATURES}")

    def features(images: npt.NDArray[np.float32]) -> FloatArray:
        return np.asarray(features_of.predict(images, batch_size=_BATCH, verbose=0), np.float64)

    fitted, held_out = negatives.fitted, negatives.held_out
    known, unknown = features(fitted.known), features(fitted.unknown)
    row, offset = _fitted_row(known, unknown, kernel, bias)
    held = features(held_out.known)
    ahead = held @ row + offset - (held @ kernel + bias).max(axis=1)
    offset -= max(0.0, float(np.quantile(ahead, 1 - MOST_LOST)))
    wider = keras.layers.Dense(kernel.shape[1] + 1, activation=activation, name=f"{dense.name}_and_nothing")
    result = keras.Model(model.inputs, wider(dense.input), name=model.name)
    wider.set_weights([np.column_stack([kernel, row]), np.append(bias, offset)])
    return result


def nothing_labels(labels: tuple[str, ...], classes: int) -> tuple[str, ...]:
    """The labels of such a classifier: those of its classes, their numbers if they have none, and that of nothing."""
    return (*(labels or map(str, range(classes))), NOTHING)


def _last_dense(source: Path, model: keras.Model) -> tuple[Any, Any]:
    """The last Dense layer, and the activation behind it: a softmax or linear."""
    *others, last = model.layers
    linear, softmax = keras.activations.linear, keras.activations.softmax
    behind = softmax if isinstance(last, keras.layers.Softmax) else getattr(last, "activation", None)
    if isinstance(last, keras.layers.Softmax | keras.layers.Activation) and others:
        last = others[-1]
        is_plain = getattr(last, "activation", None) is linear and behind in (linear, softmax)
    else:
        is_plain = behind in (linear, softmax)
    if not (is_plain and isinstance(last, keras.layers.Dense) and last.use_bias) or len(last.input.shape) != 2:
        raise ModelFileError(
            f"{source}: negatives lie beside it, but it does not end in a Dense layer with a softmax or logits, which "
            "could get one more class: move them away, or end it so"
        )
    return last, behind


def _fitted_row(known: Array, unknown: Array, kernel: FloatArray, bias: FloatArray) -> tuple[FloatArray, float]:
    """Logistic regression of unknown against known images, both counting as much, beside the classes there are.

    With the scores z of the classes the probability of the new one is sigmoid(row · f + offset - log Σ exp z). Newton's
    method; the ridge keeps the row short, so that the new score has the range of the others.
    """
    features = np.vstack([known, unknown])
    is_unknown = np.repeat([0.0, 1.0], [len(known), len(unknown)])
    weight = np.repeat([0.5 / len(known), 0.5 / len(unknown)], [len(known), len(unknown)])
    scores = features @ kernel + bias
    top = scores.max(axis=1)
    others = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
    columns = np.column_stack([features, np.ones(len(features))])
    ridge = np.full(columns.shape[1], _RIDGE * float(np.mean(features**2)) + 1e-9)
    ridge[-1] = 0.0  # the offset is free
    beta = np.zeros(columns.shape[1])
    beta[-1] = float(np.median(others))
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(columns @ beta - others, -30, 30)))
        gradient = columns.T @ (weight * (p - is_unknown)) + ridge * beta
        curvature = (columns * (weight * np.maximum(p * (1 - p), 1e-4))[:, None]).T @ columns + np.diag(ridge + 1e-9)
        step = np.linalg.solve(curvature, gradient)
        beta -= step
        if np.abs(step).max() < 1e-6 * (1 + np.abs(beta).max()):
            break
    return beta[:-1], float(beta[-1])
