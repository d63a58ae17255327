"""Many models: real processes, failing, crashed and killed, and what is written of them."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import cv2
import keras
import numpy as np
import psutil
import pytest

from stn_rectify.converters.batch.fingerprint import sha256_of
from stn_rectify.converters.cli import main
from stn_rectify.runtime.model.model_file import ModelFile
from tests.converters.conversion_commands import (
    conversions_of,
    held_conversion,
    manifest,
    messages,
    save_tiny_model,
    start_command,
)
from tests.converters.keras_models import smooth_frames
from tests.waiting import DEADLINE_S, wait_for


def run(*arguments):
    return main([str(a) for a in arguments])


def test_a_broken_model_does_not_stop_the_others(built):
    folder, status, out, err = built
    assert status == 1
    assert messages(err).startswith("broken  FAILED: models/broken.keras ")
    lines = out.splitlines()
    assert sorted(line.split("  ")[0] for line in lines[:2]) == ["a", "b"]  # a line each, as they finish
    assert all("build/" in line and "staging" not in line for line in lines[:2])
    assert [line.split()[:2] for line in lines[3:6]] == [["a", "converted"], ["b", "converted"], ["broken", "FAILED"]]
    assert lines[-1] == "2 converted, 1 failed"
    for name in "ab":
        assert ModelFile.open(folder / "build" / f"{name}.tflite")


def test_the_manifest_says_what_was_made_of_what(built):
    folder = built[0]
    records = manifest(folder / "build")
    written = {file.name for file in (folder / "build").iterdir()} - {"manifest.json"}
    assert {name for record in records.values() for name in record["outputs"]} == written
    for name in "ab":
        record = records[name]
        assert record["result"] == "passed"
        assert record["source"] == f"../models/{name}.keras"
        assert record["source_sha256"] == sha256_of(folder / "models" / f"{name}.keras")
        assert record["calibration_sha256"] == sha256_of(folder / "frames3.npz")
        assert {"python", "stn_rectify", "tensorflow"} < set(record["versions"])
        assert {f"{name}.tflite", f"{name}.report.json"} <= set(record["outputs"])
        for output, known in record["outputs"].items():
            assert known["sha256"] == sha256_of(folder / "build" / output)
            assert known["bytes"] == (folder / "build" / output).stat().st_size
        assert record["numbers"]["corners_max_px"] >= record["numbers"]["corners_mean_px"]
    assert records["broken"]["result"] == "failed"
    assert "broken.keras" in records["broken"]["reason"]
    assert records["broken"]["log"]


@pytest.fixture(scope="module")
def oddly_named(tmp_path_factory):
    """A SavedModel with a dot in its name, converted with one picture under names that are not UTF-8; what was said."""
    folder = tmp_path_factory.mktemp("oddly named")
    save_tiny_model(folder / "a.keras")
    keras.models.load_model(folder / "a.keras", compile=False).export(folder / "stn.v1", verbose=False)
    frames = os.fsdecode(b"caf\xe9")
    (folder / frames).mkdir()
    picture = cv2.imencode(".png", smooth_frames((16, 16, 3), 1)[0])[1].tobytes()
    for k in range(2):
        (folder / frames / os.fsdecode(b"%d\xe9.png" % k)).write_bytes(picture)
    (folder / "labels.txt").write_bytes(b"\xef\xbb\xbfplate\nsign\n")
    process = start_command(
        folder, "stn.v1", "--out", "build", "--calibration", frames, "--labels", "labels.txt", "--no-latency"
    )
    _, err = process.communicate()
    assert process.returncode == 0, err
    return folder / "build", err


def test_a_folder_gives_its_whole_name_to_what_comes_of_it(oddly_named):
    build, _ = oddly_named
    names = {"manifest.json", "stn.v1.tflite", "stn.v1.report.json", "stn.v1.report.html", "stn.v1.png"}
    assert {file.name for file in build.iterdir()} == names
    assert ModelFile.open(build / "stn.v1.tflite").metadata.name == "stn.v1"
    assert json.loads((build / "stn.v1.report.json").read_text())["name"] == "stn.v1"


def test_frames_under_names_of_any_bytes_are_read_and_reported(oddly_named):
    build, _ = oddly_named
    assert json.loads((build / "stn.v1.report.json").read_text())["options"]["calibration"] == os.fsdecode(b"caf\xe9")
    assert "caf\\udce9" in (build / "stn.v1.report.html").read_text(encoding="utf-8")


def test_doubtful_frames_are_warned_of(oddly_named):
    build, err = oddly_named
    warning = "all 2 calibration frames are the same"
    (line,) = err.splitlines()
    assert line.startswith(f"stn-convert: warning: {warning}")
    assert json.loads((build / "stn.v1.report.json").read_text())["warnings"] == [line.split("warning: ")[1]]
    page = (build / "stn.v1.report.html").read_text(encoding="utf-8")
    assert page.index(warning) < page.index("Corner error float")  # above the numbers


def test_labels_may_begin_with_a_byte_order_mark(oddly_named):
    build, _ = oddly_named
    assert ModelFile.open(build / "stn.v1.tflite").labels == ("plate", "sign")


@pytest.mark.slow
def test_a_crashed_process_is_the_failure_of_its_model_alone(inputs, tmp_path):
    models = ["models/a.keras", "models/b.keras", "models/broken.keras"]
    process = start_command(
        inputs, *models, "--out", tmp_path, "--calibration", "frames3.npz", "--jobs", "1", "--debug"
    )
    (first,) = wait_for("a conversion", lambda: conversions_of(process))
    loaded = first.parent()
    # TensorFlow converts what was saved here: that is where it crashes, and what it says there must not be lost.
    saved = tmp_path / ".stn-convert" / "model.a" / "tmp"
    wait_for("the model that TensorFlow converts", lambda: list(saved.glob("*/saved_model.pb")))
    first.send_signal(signal.SIGSEGV)
    (second,) = wait_for("the next conversion", lambda: [one for one in conversions_of(process) if one != first])
    second.suspend()
    assert second.parent() == loaded  # TensorFlow is not loaded again
    loaded.kill()  # another has to be started for the third
    second.resume()
    out, err = process.communicate()
    assert process.returncode == 1
    assert "a  FAILED: its process was ended by signal 11 (SIGSEGV" in err
    assert "Fatal Python error: Segmentation fault" in err
    assert "broken  FAILED: models/broken.keras " in err  # the batch has gone on
    assert out.splitlines()[-1] == "1 converted, 2 failed"
    assert "SIGSEGV" in manifest(tmp_path)["a"]["reason"]
    assert "Fatal Python error: Segmentation fault" in manifest(tmp_path)["a"]["log"]
    assert {file.name.split(".")[0] for file in tmp_path.iterdir()} == {"b", "manifest"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_conversion_outlives_the_command(inputs, tmp_path, number):
    process = start_command(inputs, "models/a.keras", "--out", tmp_path, "--calibration", "frames3.npz")
    with held_conversion(process) as conversion:
        process.send_signal(number)
        process.communicate(timeout=DEADLINE_S)
    psutil.wait_procs([conversion], timeout=DEADLINE_S)
    assert not conversion.is_running()
    if number == signal.SIGTERM:
        assert process.returncode == 130
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "arguments", "message"),
    [
        (lambda: Path("build").write_text("a file"), [], "cannot write to build"),
        (lambda: Path("build/manifest.json").mkdir(parents=True), [], "not a manifest"),
        (lambda: None, ["--calibration", "missing"], "missing: no such calibration"),
        (lambda: None, ["--validation", "missing"], "missing: no such"),
        (lambda: None, ["--labels", "missing"], "labels missing cannot be read"),
        (lambda: None, ["--value-range", "0", "inf"], "--value-range 0 inf: needs numbers"),
        (lambda: None, ["--value-range", "0", "nan"], "--value-range 0 nan: needs numbers"),
        (lambda: None, ["--jobs", "2", "--scheduler", "tcp://127.0.0.1:1"], "--jobs is for this machine"),
    ],
    ids=[
        "out is a file",
        "manifest is a folder",
        "calibration",
        "validation",
        "labels",
        "infinity",
        "no number",
        "jobs and scheduler",
    ],
)
def test_what_stops_a_batch_is_one_clear_line(tmp_path, monkeypatch, capsys, damage, arguments, message):
    monkeypatch.chdir(tmp_path)
    np.savez("frames.npz", frames=np.zeros((1, 8, 8, 3), np.uint8))
    Path("a.keras").touch()
    damage()
    try:
        status = run("a.keras", "--out", "build", "--calibration", "frames.npz", *arguments)
    except SystemExit as ended:  # of the parser
        status = ended.code
    assert status in (1, 2)
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
