"""A model as Keras 2 writes it, made in a process of its own: Keras 3 is in this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[3]


def save_keras_2_model(file: Path, frames: Path | None = None, images: Path | None = None) -> None:
    """Saves an STN of plain operations, each of which is a layer of Keras 2, and of no other.

    Args:
        file: the model, .h5.
        frames: .npz of frames as OpenCV has them, by what they are.
        images: .npz for what the model gives for them, as OpenCV would have it.
    """
    paths = [str(path) for path in (file, frames, images) if path is not None]
    subprocess.run([sys.executable, "-m", __name__, *paths], cwd=ROOT, check=True, capture_output=True)


def main(file: str, frames: str | None = None, images: str | None = None) -> None:
    """The same in this process, which must not have loaded Keras."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tf_keras

    sys.modules["keras"] = tf_keras
    from tests.converters.foreign_models.layers import interpolate, lattice

    tf_keras.utils.set_random_seed(1)
    frame = tf_keras.Input((28, 32, 3))
    seen = tf_keras.layers.Flatten()(tf_keras.layers.Conv2D(8, 3, strides=4, activation="relu")(frame))
    middle = tf_keras.initializers.Constant(np.array([0.8, 0.05, 0.02, -0.04, 0.7, -0.03]))  # an array among settings
    kernel = tf_keras.initializers.RandomNormal(0, 0.03, 4)
    theta = tf_keras.layers.Dense(6, kernel_initializer=kernel, bias_initializer=middle)(seen)
    x, y = lattice(theta, (12, 14), "W", "xy", 28.0, 32.0)
    model = tf_keras.Model(frame, interpolate(frame, x, y, (12, 14), "border"))
    model.save(file)
    if frames is not None and images is not None:
        made = {
            kind: 255 * model.predict(seen[..., ::-1] / np.float32(255))[..., ::-1]
            for kind, seen in np.load(frames).items()
        }
        np.savez(images, **made)


if __name__ == "__main__":
    main(*sys.argv[1:])
