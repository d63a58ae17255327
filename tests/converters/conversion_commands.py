"""`stn-convert` as a process, and what it has running, for the tests of batches."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import keras
import numpy as np
import psutil

from stn_rectify.models import ProjectiveGrid
from tests.converters.keras_models import smooth_frames, stn_with_trunk
from tests.waiting import wait_for


def save_tiny_model(file: Path, seed: int = 0) -> None:
    """The least STN that converts: 16×16×3."""
    keras.utils.set_random_seed(seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    stn_with_trunk(keras.layers.Conv2D(4, 3, strides=4, activation="relu")).save(file)


def save_tiny_refine(model: Path) -> None:
    """A refine network for it, and what that is calibrated with: 16×16×3."""
    keras.utils.set_random_seed(5)
    trunk = keras.layers.Conv2D(4, 3, strides=4, activation="relu")
    refine = model.with_suffix(".refine.keras")
    stn_with_trunk(trunk, transform=ProjectiveGrid).save(refine)
    np.savez(refine.with_suffix(".calibration.npz"), frames=smooth_frames((16, 16, 3), 20))


def save_tiny_recognizer(file: Path) -> None:
    """The least recognizer that converts, its images and its three labels: 8×8×1."""
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(3)]
    keras.Sequential([keras.Input((8, 8, 1)), *layers]).save(file)
    np.savez(file.with_suffix(".calibration.npz"), frames=smooth_frames((8, 8, 1), 20))
    file.with_name(file.name.replace(".recognizer.keras", ".labels.txt")).write_text("a\nb\nc\n")


def start_command(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    """Starts `stn-convert` in a folder."""
    script = Path(sys.executable).with_name("stn-convert")
    return subprocess.Popen(
        [script, *map(str, arguments)], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def messages(errors: str) -> str:
    """What a command wrote to standard error without its lines about progress, which only a slow machine gets."""
    return "".join(line for line in errors.splitlines(keepends=True) if not line.startswith("conversion: "))


def conversions_of(process: subprocess.Popen[Any]) -> list[psutil.Process]:
    """The conversions that the command, or a worker, has running: forks of processes that have loaded TensorFlow."""
    found = []
    for child in psutil.Process(process.pid).children():
        try:
            if _converts(child):
                found += [fork for fork in child.children() if _converts(fork)]  # importing starts others for a moment
        except psutil.Error:  # it has just ended
            continue
    return found


def _converts(process: psutil.Process) -> bool:
    return any("conversion_process" in part for part in process.cmdline())


@contextmanager
def held_conversion(process: subprocess.Popen[Any]) -> Iterator[psutil.Process]:
    """The conversion that the command, or a worker, has running; in the block it stands still, so it cannot end."""
    conversion = wait_for("a conversion", lambda: conversions_of(process))[0]
    conversion.suspend()
    try:
        yield conversion
    finally:
        with suppress(psutil.NoSuchProcess):  # it may have been killed as it stood
            conversion.resume()


def manifest(out: Path) -> dict[str, Any]:
    """The records of a folder's manifest."""
    records: dict[str, Any] = json.loads((out / "manifest.json").read_text())["models"]
    return records
