"""STN and recognizer in one INT8 file beside Keras: accuracy on held-out digits, and what repairing the head gains.

    python tests/benchmarks/conversion/recognizer_in_file.py MNIST_DIR

MNIST_DIR holds ``train-images-idx3-ubyte.gz`` and ``train-labels-idx1-ubyte.gz``. Digits are turned by up to 45°,
scaled by 0.7 to 1.2 and put anywhere on 42×42 pixels; a small affine STN and a recognizer of two convolutions learn
them together, from the labels alone, in some minutes. Not tuned for accuracy.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import keras
import numpy as np
from keras import layers

from stn_rectify.converters.conversion import ConversionOptions, convert
from stn_rectify.models import lightweight_stn
from stn_rectify.models.recognition.labelled_images import read_idx

HELD_OUT = 1000


def distorted(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The digit, turned, scaled and moved, on 42×42."""
    matrix = cv2.getRotationMatrix2D((13.5, 13.5), rng.uniform(-45, 45), rng.uniform(0.7, 1.2))
    matrix[:, 2] += rng.uniform(10, 32, 2) - 13.5
    return cv2.warpAffine(digit, matrix, (42, 42))


def untrained() -> tuple[keras.Model, keras.Model]:
    """Frame → class scores, to be trained; frame → rectified, θ, class scores, to be converted."""
    frame = keras.Input((42, 42, 1))
    rectified, theta = lightweight_stn((42, 42, 1), width=0.5, features=32, output_shape=(28, 28), score=False)(frame)
    x = rectified
    for channels in (16, 32):
        x = layers.Conv2D(channels, 3, use_bias=False)(x)
        x = layers.MaxPooling2D(2)(layers.ReLU()(layers.BatchNormalization()(x)))
    x = layers.Dropout(0.3)(layers.Flatten()(x))
    scores = layers.Dense(10, activation="softmax")(x)
    return keras.Model(frame, scores), keras.Model(frame, [rectified, theta, scores])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mnist", type=Path)
    parser.add_argument("--samples", type=int, default=30_000)
    parser.add_argument("--epochs", type=int, default=8)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    count = args.samples + HELD_OUT
    digits = read_idx(args.mnist / "train-images-idx3-ubyte.gz")[:count]
    labels = read_idx(args.mnist / "train-labels-idx1-ubyte.gz")[:count].astype(np.int64)
    frames = np.stack([distorted(digit, rng) for digit in digits])[..., None]
    keras.utils.set_random_seed(0)
    reader, whole = untrained()
    reader.compile(keras.optimizers.Adam(1.5e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    known = frames[: args.samples] / np.float32(255), labels[: args.samples]
    reader.fit(*known, batch_size=128, epochs=args.epochs, verbose=2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole.save(folder / "digit_reader.keras")
        np.savez(folder / "calibration.npz", frames=frames[:200])
        np.savez(folder / "held-out.npz", frames=frames[-HELD_OUT:], labels=labels[-HELD_OUT:])
        options = ConversionOptions(folder / "calibration.npz", validation=folder / "held-out.npz", latency=False)
        conversion = convert(folder / "digit_reader.keras", folder / "build", options)
    (network,) = conversion.networks
    classes = network.comparison.class_scores
    print(f"{HELD_OUT} held-out digits: float {100 * classes.accuracy_float:.1f} %, one INT8 file "
          f"{100 * classes.accuracy_int8:.1f} %, same class in {100 * classes.top1_agreement:.1f} %")  # fmt: skip
    for row in network.theta_readout:
        kept = "  (in the file)" if row["kept"] else ""
        print(f"{row['name']:<40}{row['corners_mean_px']:.3f} px mean, {row['corners_max_px']:.2f} max{kept}")


if __name__ == "__main__":
    main()
