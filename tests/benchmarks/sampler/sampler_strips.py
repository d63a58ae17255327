"""Would a sampler be faster if it made its image in strips of rows, whose planes stay in the cache?

    python tests/benchmarks/sampler/sampler_strips.py DIR --write     # once, where stn_rectify's converter is installed
    python tests/benchmarks/sampler/sampler_strips.py DIR             # in each environment

Samplers that make images of 224, 112, 76, 56 and 28 rows of one frame of 224×224×3. If strips helped, the rows of a
low image would each take less than those of a high one; what all of them pay is the table of the frame.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
from sampler_speed import THETA, open_model, sampler_model, write_or_print

ROWS, SIDE, CHANNELS = (224, 112, 76, 56, 28), 224, 3


def write_models(folder: Path) -> None:
    """A sampler for each height, and the pose for it."""
    from stn_rectify.converters.integer.sampler_plan import SamplerPlan

    folder.mkdir(parents=True, exist_ok=True)
    for rows in ROWS:
        plan = SamplerPlan("affine", "zeros", (SIDE, SIDE), (rows, SIDE), CHANNELS, -128)
        (folder / f"{rows}.tflite").write_bytes(sampler_model(plan))
        np.save(folder / f"{rows}.npy", plan.coefficients(np.array(THETA[:6])))


def print_table(folder: Path, rounds: int) -> None:
    """Least and median processor time of each, in turn in random order."""
    frame = np.random.default_rng(0).integers(-128, 128, (1, SIDE, SIDE, CHANNELS)).astype(np.int8)
    models = {}
    for rows in ROWS:
        coefficients = np.load(folder / f"{rows}.npy").astype(np.int32)
        models[rows] = open_model(folder / f"{rows}.tflite", {"frame": frame, "coefficients": coefficients})
    times: dict[int, list[float]] = {rows: [] for rows in ROWS}
    order, shuffle = list(ROWS), random.Random(0).shuffle
    for _ in range(rounds):
        shuffle(order)
        for rows in order:
            models[rows].invoke()
            started = time.thread_time()
            models[rows].invoke()
            times[rows].append((time.thread_time() - started) * 1e6)
    least = {rows: min(values) for rows, values in times.items()}
    print(f"{rounds} rounds; µs: least (median); ns a pixel more than the next lower, of least times")
    for rows, lower in zip(ROWS, (*ROWS[1:], None), strict=True):
        line = f"{rows:4} rows {least[rows]:6.0f} ({np.median(times[rows]):6.0f})"
        more = "" if lower is None else f"{(least[rows] - least[lower]) * 1000 / ((rows - lower) * SIDE):8.1f}"
        print(line + more)


if __name__ == "__main__":
    write_or_print(__doc__, write_models, print_table)
