"""The table of the Spatial Transformer paper (arXiv 1506.02025, section 4.1), in float and INT8.

    python tests/benchmarks/paper_table.py MNIST_DIR --out FOLDER [--epochs 30] [--only stn-R-0 cnn-RTS-1 …]

For each distortion R, RTS, P and E and each of three seeds: ``cnn``, a recognizer alone that sees the whole frame, with
as many parameters as STN and recognizer together; ``stn``, localization network and recognizer, trained from the labels
alone, in float and INT8 (one file; STN and recognizer in two files; pose-only and OpenCV). Each cell is a training of
its own, resumed by the same command; what is done stands in ``FOLDER/results.json``, and without cells to do the
command only prints the table. MNIST_DIR holds MNIST's training files; the last 10,000 of the 60,000 are held out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from digits_error import HELD_OUT, float_errors

from stn_rectify.converters.conversion import ConversionOptions, convert
from stn_rectify.models.digits import DISTORTIONS
from stn_rectify.models.files import partial_file
from stn_rectify.models.recognition.labelled_images import LabelledImages, read_labelled_images
from stn_rectify.models.recognition.recognizer_training import WEIGHT_DECAY, RecognizerCourse, train_through_recognizer
from stn_rectify.models.recognition.recognizing_stn import recognizer_network
from stn_rectify.models.training.course.checkpoint import Checkpoint
from stn_rectify.models.training.course.epochs import averaging_adamw, train_epochs

SEEDS = (0, 1, 2)
KINDS = ("stn", "cnn")
ROWS = {
    "cnn": ("(a) CNN, float", ("float",)),
    "stn": ("(b) STN + recognizer", ("float", "two files", "pose-only", "one file")),
}


def train_cnn(course: RecognizerCourse, data: LabelledImages, out: Path) -> keras.Model:
    """The recognizer alone, on whole frames, with as many parameters as the STN and its recognizer."""
    wanted = course.model(len(data.names)).count_params()
    keras.utils.set_random_seed(course.seed)
    widths = np.linspace(0.8, 1.6, 81)
    counts = [recognizer_network(course.input_shape, len(data.names), width=w).count_params() for w in widths]
    keras.utils.set_random_seed(course.seed)
    width = float(widths[np.abs(np.array(counts) - wanted).argmin()])
    model = recognizer_network(course.input_shape, len(data.names), width=width)
    model.compile(averaging_adamw(course, WEIGHT_DECAY), keras.losses.SparseCategoricalCrossentropy())
    work = out.with_suffix(".training")
    work.mkdir(exist_ok=True)
    everywhere = np.ones(course.batch_size, np.float32)
    train_epochs(
        model,
        data,
        course,
        Checkpoint(work / "checkpoint.npz", asdict(course)),
        lambda batch: ([batch.labels.astype(np.float32)], [everywhere]),
    )
    with partial_file(out) as partial:
        model.save(partial)
    shutil.rmtree(work)
    return model


def int8_error(mnist: Path, model: Path, recognizer: str, kind: str) -> float:
    """Measured by `digits_error`, in a process without TensorFlow."""
    script = str(Path(__file__).with_name("digits_error.py"))
    arguments = [str(mnist), "--model", str(model), "--recognizer", recognizer, "--kinds", kind, "--json"]
    done = subprocess.run([sys.executable, script, *arguments], check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1])[kind])


def measure_stn(mnist: Path, keras_file: Path, kind: str) -> dict[str, float]:
    """Converts and measures; % of held-out digits."""
    calibration = keras_file.with_suffix(".calibration.npz")
    build = keras_file.parent / f"{keras_file.stem}.build"
    labels = tuple("0123456789")
    errors = {"float": float_errors(keras_file, mnist, (kind,))[kind]}
    options = ConversionOptions(calibration, latency=False, overwrite=True, labels=labels)
    recognizer = str(convert(keras_file.with_suffix(".recognizer.keras"), build, options).path)
    one = convert(keras_file, build, options).path
    errors["one file"] = int8_error(mnist, one, "none", kind)
    stn = keras_file.with_suffix(".stn.keras")
    plain = ConversionOptions(calibration, latency=False, overwrite=True)
    errors["two files"] = int8_error(mnist, convert(stn, build, plain).path, recognizer, kind)
    pose = ConversionOptions(calibration, latency=False, overwrite=True, pose_only=True)
    errors["pose-only"] = int8_error(mnist, convert(stn, build / "pose", pose).path, recognizer, kind)
    return errors


def run_cell(cell: str, args: argparse.Namespace, train: LabelledImages) -> dict[str, float]:
    """Trains and measures one cell: KIND-DISTORTION-SEED."""
    network, kind, seed = cell.split("-")
    course = RecognizerCourse(
        samples=len(train), epochs=args.epochs, batch_size=256, learning_rate=4e-3, seed=int(seed),
        distortions=(kind,), data=train.digest, pose_warm_up=args.pose_warm_up if network == "stn" else 0,
    )  # fmt: skip
    file = args.out / f"{cell}.keras"
    started = time.process_time()
    if not file.exists():
        (train_cnn if network == "cnn" else train_through_recognizer)(course, train, file)
    seconds = time.process_time() - started
    errors = measure_stn(args.mnist, file, kind) if network == "stn" else float_errors(file, args.mnist, (kind,))
    if network == "cnn":
        errors = {"float": errors[kind]}
    return {**errors, "cpu_s": round(seconds), "epochs": args.epochs, "pose_warm_up": course.pose_warm_up}


def table(results: dict[str, dict[str, float]]) -> str:
    """Mean and spread (half of highest less lowest) over the seeds that are there, %."""
    lines = [f"error on {HELD_OUT} held-out digits, %: mean ± half the range (seeds)"]
    lines.append(f"{'':<34}" + "".join(f"{kind:>18}" for kind in DISTORTIONS))
    for network, (what, measures) in ROWS.items():
        for measure in measures:
            row = f"{what if measure == 'float' else '(c) the same, INT8, ' + measure:<34}"
            for kind in DISTORTIONS:
                found = [100 * results[c][measure] for s in SEEDS if (c := f"{network}-{kind}-{s}") in results]
                said = f"{np.mean(found):.2f} ± {np.ptp(found) / 2:.2f} ({len(found)})" if found else "-"
                row += f"{said:>18}"
            lines.append(row)
    lines.append(f"{'paper, ST-CNN affine':<34}" + "".join(f"{e:>18}" for e in ("0.7", "0.5", "0.8", "1.2")))
    lines.append(f"{'paper, CNN':<34}" + "".join(f"{e:>18}" for e in ("1.2", "0.8", "1.5", "1.4")))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mnist", type=Path)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--pose-warm-up", type=int, default=0, metavar="N", help="epochs with known poses")
    every = [f"{network}-{kind}-{seed}" for seed in SEEDS for network in KINDS for kind in DISTORTIONS]
    parser.add_argument("--only", nargs="*", choices=every, default=every, metavar="CELL")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "results.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    cells = [cell for cell in args.only if cell not in results]
    for cell, found in results.items():
        of_cell = (args.epochs, args.pose_warm_up if cell.startswith("stn") else 0)
        if cells and (found["epochs"], found["pose_warm_up"]) != of_cell:
            sys.exit(
                f"{file} has cells of {found['epochs']} epochs, {found['pose_warm_up']} with poses: give another --out"
            )
    train = read_labelled_images(args.mnist, (28, 28), 1)[:-HELD_OUT] if cells else None
    for cell in cells:
        print(cell, flush=True)
        found = run_cell(cell, args, train)
        results = (json.loads(file.read_text()) if file.exists() else {}) | {cell: found}
        with partial_file(file) as partial:
            partial.write_text(json.dumps(results, indent=2) + "\n")
        print(f"{cell}  {found}", flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
