"""The layers and the loss on Keras's other backends: nothing in them is TensorFlow's."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

BACKENDS = ("torch", "jax")

STEP = """
import keras
import numpy as np
from stn_rectify.models import BilinearSampler, ProjectiveGrid, ThinPlateSplineGrid, lightweight_stn
from stn_rectify.models.network.poses import CornerLoss
from stn_rectify.runtime.geometry import identity_theta

frames = np.random.default_rng(0).random((4, 32, 32, 3)).astype("float32")
for kind in (ProjectiveGrid, ThinPlateSplineGrid):
    theta = np.tile(identity_theta(kind.transform).astype("float32"), (4, 1))
    for padding in ("zeros", "border"):
        read = BilinearSampler(padding)([frames, kind((32, 32), (32, 32))(theta)])
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(read), frames)

for transform, size in (("projective", 8), ("tps", 32)):
    stn = lightweight_stn((32, 32, 3), transform=transform, width=0.5)
    rectified, theta, score = stn.predict(frames, verbose=0)
    np.testing.assert_array_equal(rectified, frames)
    assert theta.shape == (4, size) and score.shape == (4, 1)

    pose = keras.Model(stn.input, [stn.get_layer("theta").output, stn.get_layer("score").output])
    pose.compile(keras.optimizers.AdamW(1e-2), loss=[CornerLoss(), keras.losses.BinaryCrossentropy()])
    corners = np.tile(np.array([[-0.5, -0.4], [0.6, -0.5], [0.5, 0.4], [-0.4, 0.5]], "float32"), (4, 1, 1))
    present = np.ones((4, 1), "float32")
    losses = [
        float(np.ravel(pose.train_on_batch(frames, [corners, present], sample_weight=[present[:, 0]] * 2))[0])
        for _ in range(5)
    ]
    assert np.isfinite(losses).all() and losses[-1] < losses[0], losses
print("backend", keras.backend.backend())
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_network_starts_at_the_identity_and_learns_on_another_backend(backend):
    """In a process of its own: Keras takes one backend for all."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: pip install {backend} to run the layers on it")
    done = subprocess.run(
        [sys.executable, "-c", STEP],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "KERAS_BACKEND": backend},
    )
    assert done.returncode == 0, done.stderr
    assert f"backend {backend}" in done.stdout
