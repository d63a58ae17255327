"""`stn-train`: it trains, evaluates, goes on after Ctrl-C, and says in one line what is wrong."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys

import cv2
import keras
import numpy as np
import pytest

from stn_rectify.models.command.cli import main
from stn_rectify.models.network.keras_file import load_model
from tests.waiting import DEADLINE_S

# The body of fewer layers is the one that TensorFlow is ready with sooner.
NETWORK = ["--input-shape", "32x32x1", "--body", "fused", "--width", "0.5"]
ARGUMENTS = [*NETWORK, "--samples", "40", "--batch-size", "10", "--jobs", "1"]


def exit_status(arguments):
    """Of `stn-train`, whichever way it ends."""
    try:
        return main(arguments)
    except SystemExit as stop:
        return stop.code


@pytest.mark.slow
def test_the_command_trains_evaluates_and_refuses_to_overwrite(tmp_path, capsys):
    out = tmp_path / "stn.keras"
    arguments = [*ARGUMENTS, "--epochs", "1", "--hold-out", "20"]
    assert main(["pose", "--out", str(out), *arguments]) == 0
    printed = capsys.readouterr().out
    assert "synthesised hold-out" in printed
    assert "overlap (IoU)" in printed
    assert cv2.imread(str(tmp_path / "stn.sheet.png")).shape[1] > 1000
    assert cv2.imread(str(tmp_path / "stn.curve.png")) is not None
    assert load_model(out).output_shape[1] == (None, 8)
    assert main(["pose", "--out", str(out), *arguments]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["evaluate", str(out), "--hold-out", "20"]) == 0
    assert printed.splitlines()[-2] in capsys.readouterr().out


def start_in_step(command: list[str]) -> subprocess.Popen[str]:
    """Starts a program whose standard output holds one write, so that it waits until that has been read.

    It is never more than a line or two ahead of the reader, and cannot end before a signal comes.
    """
    reader, writer = os.pipe2(os.O_DIRECT)  # each write takes a page of its own
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)  # of which there is one
    process = subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    process.stdout = os.fdopen(reader)
    return process


@pytest.mark.slow
def test_ctrl_c_keeps_the_state_and_a_second_run_finishes(tmp_path):
    out = tmp_path / "stn.keras"
    command = [sys.executable, "-c", "import sys; from stn_rectify.models.command.cli import main; sys.exit(main())"]
    command += ["pose", "--out", str(out), *ARGUMENTS, "--epochs", "8", "--hold-out", "0"]
    process = start_in_step(command)
    assert process.stdout is not None
    while not (line := process.stdout.readline()).startswith("epoch 2/"):
        assert line, process.communicate(timeout=DEADLINE_S)[1]
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=DEADLINE_S)  # reads on, should it wait for that
    assert process.returncode == 130, errors
    assert "run the same command again" in errors
    assert "Traceback" not in errors
    assert not out.exists()
    done = int(np.load(tmp_path / "stn.training" / "checkpoint.npz")["position"][0])
    assert 2 <= done < 8
    again = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    epochs = [line.split()[1] for line in again.stdout.splitlines() if line.startswith("epoch")]
    assert epochs == [f"{epoch}/8" for epoch in range(done + 1, 9)]
    assert load_model(out).output_shape[1] == (None, 8)
    assert not (tmp_path / "stn.training").exists()


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ([], 2),
        (["pose", "--out", "a.keras", "--evaluate", "b.keras"], 2),
        (["pose", "--out", "a.h5"], 2),
        (["evaluate", "no.keras"], 1),
        (["pose", "--out", "folder.keras", "--overwrite"], 2),
        (["pose", "--out", "file/a.keras"], 2),
        (["pose", "--out", "file/folder/a.keras"], 2),
        (["pose", "--out", "/dev/full/a.keras"], 2),
        (["pose", "--out", f"{'a' * 300}.keras"], 2),
        (["pose", "--out", "a.keras", "--samples", "10", "--batch-size", "20"], 2),
        (["pose", "--out", "a.keras", "--input-shape", "32x32x2"], 2),
        (["--unknown"], 2),
        (["unknown"], 2),
        (["pose"], 2),
        (["evaluate"], 2),
        (["prune", "a.keras", "--out", "b.keras"], 2),
        (["pose", "--out", "a.keras", "--input-shape", "32x32"], 2),
        (["pose", "--out", "a.keras", "--width", "-1"], 2),
        (["pose", "--out", "a.keras", "--width", "nan"], 2),
        (["pose", "--out", "a.keras", "--samples", "0"], 2),
        (["pose", "--out", "a.keras", "--epochs", "0"], 2),
        (["pose", "--out", "a.keras", "--batch-size", "0"], 2),
        (["pose", "--out", "a.keras", "--learning-rate", "-0.1"], 2),
        (["pose", "--out", "a.keras", "--learning-rate", "fast"], 2),
        (["pose", "--out", "a.keras", "--seed", "-1"], 2),
        (["pose", "--out", "a.keras", "--seed", "4294967296"], 2),
        (["pose", "--out", "a.keras", "--jobs", "0"], 2),
        (["pose", "--out", "a.keras", "--jobs", "1.5"], 2),
        (["pose", "--out", "a.keras", "--hold-out", "-1"], 2),
        (["pose", "--out", "a.keras", "--steps", "2"], 2),
        (["evaluate", "a.keras", "--importance", "taylor"], 2),
        (["pose", "--out", "a.keras", "--scan", "b.keras"], 2),
        (["pose", "--out", "a.refine.keras"], 2),
        (["pose", "--out", "a.keras", "--sheet", "missing/a.png"], 2),
    ],
    ids=lambda value: " ".join(value)[:40] or "nothing" if isinstance(value, list) else "",
)
def test_wrong_usage_is_one_clear_line(tmp_path, monkeypatch, capsys, arguments, status):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.keras").mkdir()
    (tmp_path / "file").touch()
    assert exit_status(arguments) == status
    error = capsys.readouterr().err
    assert re.match(r"stn-train( pose| evaluate| prune)?: error: ", error)
    assert error.count("\n") == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder.keras"]


@pytest.mark.parametrize(
    ("size", "layer", "values", "message"),
    [
        ((8, 8, 3), "pose", 6, 'layer named "theta"'),
        ((8, 8, 3), "theta", 4, 'layer named "theta"'),
        ((64,), "theta", 6, "input must be one image"),
        ((8, 8, 2), "theta", 6, "input must be one image"),
    ],
    ids=["no theta", "four theta", "input no image", "two channels"],
)
def test_evaluating_another_kind_of_model_is_one_clear_line(tmp_path, capsys, size, layer, values, message):
    file = tmp_path / "other.keras"
    keras.Sequential([keras.Input(size), keras.layers.Flatten(), keras.layers.Dense(values, name=layer)]).save(file)
    assert main(["evaluate", str(file)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"stn-train evaluate: error: {file}: ")
    assert message in error


def test_refine_networks_are_told_by_their_names(tmp_path, capsys):
    assert main(["pose", "--refine", "--out", str(tmp_path / "labels.keras")]) == 2
    assert "NAME.refine.keras" in capsys.readouterr().err
    assert main(["pose", "--out", str(tmp_path / "labels.refine.keras")]) == 2
    assert main(["pose", "--refine", "--transform", "affine", "--out", str(tmp_path / "labels.refine.keras")]) == 2
    assert "a refine network is projective" in capsys.readouterr().err
