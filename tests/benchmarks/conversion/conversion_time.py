"""How much processor time ``stn-convert`` takes for a small model, all its processes together.

    python tests/benchmarks/conversion/conversion_time.py [--runs 3] [--frames 24] [-- OPTION...]

Makes three models of 32×32 px: one of this project's layers, a custom layer in an .h5 file, and the same as a
SavedModel; converts each, as a user would, and prints the processor time of the command: median and range over the
runs. Words after ``--`` are handed on to stn-convert. Not the clock: the machine has other work.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = Path(__file__).parents[3]
LAYERS = ROOT / "tests/converters/foreign_models/layers.py"
CONVERT = "from stn_rectify.converters.cli import command; command()"


def write_models(folder: Path, frames: int) -> dict[str, list[str]]:
    """Writes the models and frames.npz; returns what stn-convert is given of each, by what the model is."""
    import keras

    sys.path.insert(0, str(ROOT))
    from tests.converters.foreign_models import layers as foreign
    from tests.converters.keras_models import save_frames, save_model

    shape = (32, 32, 3)
    save_frames(folder, shape, frames).rename(folder / "frames.npz")
    ours = save_model(folder, "ours", shape)
    keras.utils.set_random_seed(1)
    frame = keras.Input(shape)
    image = foreign.BilinearInterpolation((24, 24))([frame, foreign.localization(shape)(frame)])
    seen = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, activation="relu")(image))
    theirs = keras.Model(frame, keras.layers.Dense(4, activation="softmax")(seen))
    theirs.save(folder / "theirs.h5")
    theirs.export(folder / "saved", verbose=False)
    return {
        "layers of stn_rectify, .keras": [str(ours)],
        "custom layer and classifier, .h5": [str(folder / "theirs.h5"), "--custom-objects", str(LAYERS)],
        "the same, SavedModel": [str(folder / "saved")],
    }


def processor_time() -> float:
    """What all processes that have ended took so far, of this one's own, seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def seconds(folder: Path, words: list[str]) -> float:
    """Processor time of one command, seconds."""
    started = processor_time()
    command = [sys.executable, "-c", CONVERT, *words, "--calibration", str(folder / "frames.npz")]
    made = subprocess.run([*command, "--out", str(folder / "out"), "--force"], capture_output=True, text=True)
    if made.returncode:
        raise SystemExit(made.stderr)
    return processor_time() - started


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="of each command (3)")
    parser.add_argument("--frames", type=int, default=24, help="to calibrate with (24)")
    parser.add_argument("options", nargs="*", metavar="OPTION", help="of stn-convert")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        commands = write_models(Path(name), arguments.frames)
        print(f"{'stn-convert of':36} {'median':>8} {'min':>8} {'max':>8}   ({arguments.runs} runs, CPU)")
        for title, words in commands.items():
            seconds(Path(name), [*words, *arguments.options])  # byte code and file cache warm
            times = [seconds(Path(name), [*words, *arguments.options]) for _ in range(arguments.runs)]
            print(f"{title:36} {statistics.median(times):7.2f}s {min(times):7.2f}s {max(times):7.2f}s", flush=True)


if __name__ == "__main__":
    main()
