"""How fast the bodies of `lightweight_stn` train: frames a second, as ratios, interleaved in one process.

python tests/benchmarks/training_speed.py
"""

from __future__ import annotations

import time

import keras
import numpy as np

from stn_rectify.models import lightweight_stn, stn_cost
from stn_rectify.models.network.localization import BODIES
from stn_rectify.models.network.poses import CornerLoss

_BATCH, _ROUNDS, _STEPS = 128, 5, 4


def main() -> None:
    """Prints the table."""
    frames = np.random.default_rng(0).random((_BATCH, 64, 64, 3), np.float32)
    corners = np.tile(np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]], np.float32), (_BATCH, 1, 1))
    models, costs = {}, {}
    for body in BODIES:
        stn = lightweight_stn((64, 64, 3), transform="projective", body=body)
        costs[body] = stn_cost(stn)
        models[body] = keras.Model(stn.input, stn.get_layer("theta").output)
        models[body].compile(optimizer=keras.optimizers.AdamW(1e-3), loss=CornerLoss())
        models[body].train_on_batch(frames, corners)
    times: dict[str, list[float]] = {body: [] for body in BODIES}
    for _ in range(_ROUNDS):
        for body, model in models.items():
            started = time.perf_counter()
            for _ in range(_STEPS):
                model.train_on_batch(frames, corners)
            times[body].append((time.perf_counter() - started) / (_STEPS * _BATCH))
    first = np.median(times[BODIES[0]])
    print(f"{'body':<12}{'parameters':>11}{'MMAC':>7}{'frames/s':>10}{'ratio':>7}")
    for body in BODIES:
        macs = costs[body].stages[0].macs / 1e6
        seconds = np.median(times[body])
        print(f"{body:<12}{costs[body].parameters:>11,}{macs:>7.2f}{1 / seconds:>10.0f}{first / seconds:>7.2f}")


if __name__ == "__main__":
    main()
