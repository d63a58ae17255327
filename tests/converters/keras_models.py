"""Small Keras STNs and frames for the tests of the converter."""

from __future__ import annotations

from pathlib import Path

import cv2
import keras
import numpy as np

from stn_rectify.models import AffineGrid, BilinearSampler, lightweight_stn
from stn_rectify.runtime.geometry import identity_theta


def save_model(folder: Path, name: str, shape=(32, 32, 3), **options) -> Path:
    """A small STN with weights as after training: θ depends on the frame."""
    keras.utils.set_random_seed(len(name))
    model = lightweight_stn(shape, width=0.5, features=16, **options)
    enliven(model)
    file = folder / f"{name}.keras"
    model.save(file)
    return file


def enliven(model: keras.Model, spread: float = 0.08) -> None:
    """Scales the layer ``theta`` so that it varies by ``spread`` from frame to frame."""
    theta = model.get_layer("theta")
    frames = smooth_frames(tuple(model.inputs[0].shape[1:]), 16, seed=3) / np.float32(255)
    features = keras.Model(model.inputs, theta.input).predict(frames, verbose=0)
    kernel = np.random.default_rng(0).normal(0, 1, theta.kernel.shape)
    theta.kernel.assign(kernel * spread / (np.std(features @ kernel, axis=0) + 1e-6))
    theta.bias.assign(theta.bias - np.mean(features @ np.asarray(theta.kernel), axis=0))


def save_recognizing_model(folder: Path, name: str, classes: int = 5, activation: str = "softmax") -> Path:
    """A nested STN whose rectified image a classifier reads."""
    keras.utils.set_random_seed(7)
    stn = lightweight_stn((32, 32, 1), width=0.5, features=16, output_shape=(20, 24), transform="projective")
    enliven(stn)
    reader = keras.Sequential(
        [
            keras.layers.Conv2D(8, 3, strides=2, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(classes, kernel_initializer=keras.initializers.RandomNormal(0, 1.0, seed=1)),
            keras.layers.Activation(activation),
        ],
        name="reader",
    )
    frame = keras.Input((32, 32, 1))
    rectified, theta, score = stn(frame)
    file = folder / f"{name}.keras"
    keras.Model(frame, [rectified, theta, score, reader(rectified)], name=name).save(file)
    return file


def stn_with_trunk(trunk, shape=(16, 16, 3), transform=AffineGrid) -> keras.Model:
    """An STN, affine if nothing is said, whose localization network is ``trunk``: frame → any tensor."""
    frame = keras.Input(shape)
    identity = identity_theta(transform.transform)
    bias = keras.initializers.Constant(identity)
    kernel = keras.initializers.RandomNormal(0, 0.02, seed=0)
    head = keras.layers.Dense(len(identity), kernel_initializer=kernel, bias_initializer=bias, name="theta")
    theta = head(keras.layers.Flatten()(trunk(frame)))
    rectified = BilinearSampler()([frame, transform(shape[:2], shape[:2])(theta)])
    return keras.Model(frame, [rectified, theta])


def smooth_frames(shape, count: int = 12, seed: int = 1) -> np.ndarray:
    """uint8 [count, *shape] without sharp edges."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (count, 5, 5, shape[2]), dtype=np.uint8)
    size = (shape[1], shape[0])
    return np.stack([cv2.resize(b, size, interpolation=cv2.INTER_CUBIC).reshape(shape) for b in blocks])


def save_frames(folder: Path, shape, count: int = 12, **known) -> Path:
    """The frames as ``stn-convert`` takes them; ``known``: corners, labels."""
    file = folder / f"frames{shape[2]}.npz"
    np.savez(file, frames=smooth_frames(shape, count), **known)
    return file
