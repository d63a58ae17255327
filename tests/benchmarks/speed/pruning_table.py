"""What `stn-train prune` costs and gains: networks of 25, 50 and 75 % fewer MACs beside the unpruned one.

python tests/benchmarks/speed/pruning_table.py MODEL.keras DIR [--backgrounds PHOTOGRAPHS] [--litert PYTHON] [--pi PI]

Every network sees the same synthesised frames, made once in DIR, for as many epochs: pruned ones by both importances,
the unpruned one too (what more training alone gives), and networks of the pruned ones' size with fresh weights. Corner
errors are of float networks on held-out frames of MODEL's own training (``--hold-out-seed``). Run the same
command again to go on; what is finished stands in DIR/results.json. ``MODEL.calibration.npz`` is what the files are
calibrated with. ``--litert`` is the Python of an environment with ai-edge-litert, for its column. ``--pi`` is a command
that counts arm64 instructions between the marks of marked_inferences.py (docs/laboratory/benchmarks.md):
``PI count -c CORE -b FOLDER:/mnt/m SCRIPT FILE...``, with the interpreter in the variable RUNTIME.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from instruction_table import read_log

from stn_rectify.converters.conversion import convert
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.models.evaluation.known_frames import KnownFrames, synthesised_hold_out
from stn_rectify.models.evaluation.refined_pose import find_targets
from stn_rectify.models.files import partial_file, sha256_of
from stn_rectify.models.network.cost import stn_cost
from stn_rectify.models.network.keras_file import load_model
from stn_rectify.models.pruning import PruningCourse
from stn_rectify.models.pruning.channel_flow import channel_flow
from stn_rectify.models.pruning.schedule import pruned, tune
from stn_rectify.models.training.course.checkpoint import Checkpoint
from stn_rectify.models.training.course.course import course_frames
from stn_rectify.models.training.pools.frame_pool import FramePool
from stn_rectify.runtime.evaluation.corner_errors import summarise

FRACTIONS = (0.5, 0.25, 0.75)  # the one with an aim first
IMPORTANCES = ("taylor", "batch-norm")
UNPRUNED = "unpruned"
SCRATCH_LEARNING_RATE = 3e-3  # what stn-train trains with
CALIBRATION_FRAMES = 20  # nobody looks at what these files compute
BENCHMARKS = Path(__file__).parent


class Table:
    """The folder with everything that was made so far."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.folder: Path = arguments.folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file = self.folder / "results.json"
        self._arguments = arguments
        self.source: Path = arguments.model
        self.results: dict[str, dict[str, Any]] = json.loads(self._file.read_text()) if self._file.exists() else {}
        self.course = PruningCourse(
            input_shape=load_model(self.source).input_shape[1:],
            samples=arguments.samples,
            epochs=arguments.epochs,
            seed=arguments.seed,
            backgrounds=str(arguments.backgrounds) if arguments.backgrounds else None,
        )
        self._hold_out: KnownFrames | None = None
        self._refuse_others()

    def _refuse_others(self) -> None:
        """Rows of another model or training must not stand beside each other."""
        file, settings = self.folder / "settings.json", {"model": sha256_of(self.source), **asdict(self.course)}
        if file.exists() and json.loads(file.read_text()) != json.loads(json.dumps(settings)):
            sys.exit(f"{self.folder} was made with another model or other settings ({file}): give another DIR")
        with partial_file(file) as partial:
            partial.write_text(json.dumps(settings, indent=1))

    def note(self, name: str, **found: Any) -> None:
        """Keeps what was found of a network."""
        self.results[name] = {**self.results.get(name, {}), **found}
        with partial_file(self._file) as partial:
            partial.write_text(json.dumps(self.results, indent=1))

    def before(self, name: str) -> Path:
        """The network before any tuning; the unpruned one as a copy, which no refine network lies beside."""
        file = self.folder / f"{name.replace('% ', '_')}.keras"
        if name == UNPRUNED and not file.exists():
            with partial_file(file) as partial:
                shutil.copyfile(self.source, partial)
        return file

    def macs(self, model: keras.Model) -> int:
        """Of the localization network."""
        return sum(s.macs for s in stn_cost(model).stages if s.stage in ("localization", "head"))

    def error(self, model: keras.Model) -> dict[str, float]:
        """Corner error on the held-out frames, % of the diagonal."""
        if self._hold_out is None:
            options = self._arguments
            self._hold_out = synthesised_hold_out(options.hold_out, options.hold_out_seed, options.backgrounds)
        poses = find_targets(model, None, self._hold_out.frames)[0]
        found = summarise(self._hold_out, poses.corners, poses.score)
        return {"mean": found.mean, "median": found.median}


def prune_all(table: Table, pool: FramePool) -> list[str]:
    """Prunes what is not pruned yet, and measures it before any tuning; the unpruned one comes first."""
    whole = table.macs(load_model(table.source))
    for fraction in FRACTIONS:
        for importance in IMPORTANCES:
            file = table.before(f"{fraction:.0%} {importance}")
            if not file.exists():
                print(f"-- {file.stem}", flush=True)
                course = replace(table.course, fraction=fraction, importance=importance)
                small = pruned(load_model(table.source), pool, course, whole * (1 - fraction))
                with partial_file(file) as partial:
                    small.save(partial)
    names = [
        UNPRUNED,
        *(f"{fraction:.0%} {importance}" for fraction in FRACTIONS for importance in IMPORTANCES),
    ]
    for name in names:
        if "before" not in table.results.get(name, {}):
            model = load_model(table.before(name))
            table.note(name, parameters=stn_cost(model).parameters, macs=table.macs(model), before=table.error(model))
    return names


def train_all(table: Table, pool: FramePool) -> None:
    """Tunes every network, and trains those of the pruned ones' size from fresh weights."""
    train(table, UNPRUNED, load_model(table.source), table.course, pool)
    for fraction in FRACTIONS:
        for importance in IMPORTANCES:
            name = f"{fraction:.0%} {importance}"
            train(table, name, load_model(table.before(name)), table.course, pool)
        keras.utils.set_random_seed(table.course.seed)
        fresh = keras.models.clone_model(load_model(table.before(f"{fraction:.0%} {IMPORTANCES[0]}")))
        course = replace(table.course, learning_rate=SCRATCH_LEARNING_RATE)
        table.note(f"{fraction:.0%} scratch", parameters=stn_cost(fresh).parameters, macs=table.macs(fresh))
        train(table, f"{fraction:.0%} scratch", fresh, course, pool)


def train(table: Table, name: str, model: keras.Model, course: PruningCourse, pool: FramePool) -> None:
    """Trains, measures, writes."""
    if "after" in table.results.get(name, {}):
        return
    print(f"-- {name}", flush=True)
    checkpoint = Checkpoint(table.folder / f"{name}.checkpoint.npz", asdict(course) | {"network": name})
    tune(model, pool, course, checkpoint)
    with partial_file(table.folder / f"{name.replace('% ', '_')}-tuned.keras") as partial:
        model.save(partial)
    table.note(name, after=table.error(model))


def convert_all(table: Table, names: list[str]) -> list[Path]:
    """INT8 files of the networks as pruned: tuning changes neither their size nor their time."""
    calibration = table.folder / "calibration.npz"
    with np.load(table.source.with_suffix(".calibration.npz")) as stored:
        np.savez(calibration, frames=stored["frames"][:CALIBRATION_FRAMES])
    for kind in ("pose", "whole"):
        for name in names:
            file = table.folder / kind / f"{table.before(name).stem}.tflite"
            if not file.exists():
                print(f"-- {kind} file of {name}", flush=True)
                options = ConversionOptions(calibration, pose_only=kind == "pose", latency=False, overwrite=True)
                convert(table.before(name), file.parent, options)
            table.note(name, **{f"{kind}_bytes": file.stat().st_size})
    return [table.folder / "pose" / f"{table.before(name).stem}.tflite" for name in names]


def time_all(table: Table, names: list[str], files: list[Path], pythons: list[str]) -> None:
    """INT8 latency of all files in turns, both kinds, with each interpreter."""
    for python in pythons:
        for kind in ("whole", "pose"):
            those = [file.parent.with_name(kind) / file.name for file in files]
            command = [python, BENCHMARKS / "interleaved_latency.py", *those]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            for name, file in zip(names, those, strict=True):
                table.note(name, **{f"{kind} {found['package']}": found["files"][str(file)]})


def count_all(table: Table, names: list[str], files: list[Path], pi: str) -> None:
    """Million arm64 instructions of the files of the pose."""
    for runtime, core in (("tflite", "a72"), ("litert", "a72"), ("litert", "a76")):
        if all(f"{runtime} {core}" in table.results[name] for name in names):
            continue
        mounted = [f"/mnt/m/{file.name}" for file in files]
        script = BENCHMARKS / "marked_inferences.py"
        command = [pi, "count", "-c", core, "-b", f"{files[0].parent.resolve()}:/mnt/m", script, *mounted]
        environment = {**os.environ, "RUNTIME": runtime}
        ran = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        counted = {name: count for row in read_log(ran.stdout).values() for name, count in row.items()}
        for name, file in zip(names, files, strict=True):
            table.note(name, **{f"{runtime} {core}": counted[file.stem]})


def print_table(results: dict[str, dict[str, Any]]) -> None:
    """A line for each network; ratios are to the unpruned one."""
    columns = ("parameters", "MMAC", "KB", "latency 2.14", "litert", "instr. a72", "litert", "a76", "before", "after")
    print(f"{'':<18}" + "".join(f"{c:>16}" for c in columns))
    first = results[UNPRUNED]
    for name, row in sorted(results.items(), key=lambda entry: (entry[0] != UNPRUNED, entry[0].split("%")[0])):
        cells = [f"{row['parameters']:,}", f"{row['macs'] / 1e6:.2f}"]
        cells.append(f"{row['whole_bytes'] / 1e3:.1f}" if "whole_bytes" in row else "-")
        for package in ("tflite-runtime", "ai-edge-litert"):
            pair = [row[f"{k} {package}"]["ratio"] for k in ("whole", "pose") if f"{k} {package}" in row]
            cells.append(" / ".join(f"{r:.2f}" for r in pair) or "-")
        for counted in ("tflite a72", "litert a72", "litert a76"):
            cells.append(f"{row[counted]:.2f} ({row[counted] / first[counted]:.2f})" if counted in row else "-")
        for moment in ("before", "after"):
            cells.append(f"{row[moment]['median']:.2f} / {row[moment]['mean']:.2f}" if moment in row else "-")
        print(f"{name:<18}" + "".join(f"{cell:>16}" for cell in cells))


def main() -> None:
    """Trains, converts, times, counts, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL.keras")
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--samples", type=int, default=12_000, help="synthesised frames (12000)")
    parser.add_argument("--epochs", type=int, default=8, help="times each is drawn anew (8)")
    parser.add_argument("--seed", type=int, default=2, help="of the frames: not that of MODEL's own training (2)")
    parser.add_argument("--hold-out", type=int, default=1000, help="held-out frames (1000)")
    parser.add_argument("--hold-out-seed", type=int, default=1, help="seed of MODEL's own training (1)")
    parser.add_argument("--backgrounds", type=Path)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--litert", metavar="PYTHON")
    parser.add_argument("--pi", metavar="PI")
    parser.add_argument("--no-training", action="store_true", help="only what pruning costs and saves at once")
    parser.add_argument("--no-cost", action="store_true", help="no files, no times")
    arguments = parser.parse_args()
    table = Table(arguments)
    pool = course_frames(table.course, table.folder, channel_flow(load_model(table.source)).input_size, arguments.jobs)
    names = prune_all(table, pool)
    if not arguments.no_cost:
        files = convert_all(table, names)
        time_all(table, names, files, [sys.executable, *([arguments.litert] if arguments.litert else [])])
        if arguments.pi:
            count_all(table, names, files, arguments.pi)
    if not arguments.no_training:
        train_all(table, pool)
    print_table(table.results)


if __name__ == "__main__":
    main()
