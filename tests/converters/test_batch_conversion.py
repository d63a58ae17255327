"""Many models: real processes, killed, stopped, resumed."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import cv2
import keras
import numpy as np
import psutil
import pytest

from stn_rectify.converters.batch.batch_conversion import convert_batch
from stn_rectify.converters.batch.fingerprint import sha256_of
from stn_rectify.converters.batch.jobs import FinishedModel, ModelResult
from stn_rectify.converters.cli import main
from stn_rectify.converters.conversion_options import ConversionOptions
from stn_rectify.runtime.model_file import ModelFile
from tests.converters.conversion_commands import conversions_of, manifest, save_tiny_model, start_command, wait_for
from tests.converters.keras_models import save_frames, smooth_frames


def run(*arguments):
    return main([str(a) for a in arguments])


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Two models, a broken one and frames."""
    folder = tmp_path_factory.mktemp("inputs")
    for seed, name in enumerate("ab"):
        save_tiny_model(folder / "models" / f"{name}.keras", seed)
    whole = (folder / "models" / "a.keras").read_bytes()
    (folder / "models" / "broken.keras").write_bytes(whole[: len(whole) // 2])
    save_frames(folder, (16, 16, 3), 20)
    return folder


@pytest.fixture(scope="module")
def built(inputs):
    """What comes of them: the folder ``build``, the exit status and what was printed."""
    arguments = ["models", "--out", "build", "--calibration", "frames3.npz", "--jobs", "2"]
    process = start_command(inputs, *arguments)
    out, err = process.communicate()
    return inputs, process.returncode, out, err


@pytest.fixture
def project(built, tmp_path, monkeypatch):
    """A copy of models and results to work in."""
    shutil.copytree(built[0], tmp_path, dirs_exist_ok=True)
    (tmp_path / "models" / "broken.keras").unlink()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_broken_model_does_not_stop_the_others(built):
    folder, status, out, err = built
    assert status == 1
    assert err.startswith("broken  FAILED: models/broken.keras ")
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


class _Refuser:
    """A pool that notes what it was to do, and does not do it."""

    def __init__(self):
        self.names = []

    def run(self, jobs):
        for job in jobs:
            self.names.append(job.name)
            yield FinishedModel(job, ModelResult(False, "not here"), ())

    def close(self):
        pass


def _nothing(project):
    pass


def _delete(name):
    return lambda project: (project / name).unlink()


def _other_frames(project):
    save_frames(project, (16, 16, 3), 9)


def _older_converter(project):
    file = project / "build" / "manifest.json"
    stored = json.loads(file.read_text())
    stored["models"]["b"]["fingerprint"] = "of an older version"
    file.write_text(json.dumps(stored))


@pytest.mark.parametrize(
    ("change", "options", "force", "again"),
    [
        pytest.param(_nothing, {}, False, "", id="nothing"),
        pytest.param(_nothing, {}, True, "ab", id="--force"),
        pytest.param(lambda p: save_tiny_model(p / "models/a.keras", 9), {}, False, "a", id="a model"),
        pytest.param(lambda p: (p / "models/b.refine.keras").touch(), {}, False, "b", id="a refine network"),
        pytest.param(_other_frames, {}, False, "ab", id="the calibration frames"),
        pytest.param(_nothing, {"labels": ("one",)}, False, "ab", id="an option"),
        pytest.param(_older_converter, {}, False, "b", id="the converter, for one of them"),
        pytest.param(_delete("build/b.tflite"), {}, False, "b", id="an output is gone"),
        pytest.param(_delete("build/a.report.json"), {}, False, "a", id="a report is gone"),
        pytest.param(_delete("build/manifest.json"), {"overwrite": True}, False, "ab", id="no manifest, --overwrite"),
        pytest.param(lambda p: os.utime(p / "models/a.keras"), {}, False, "", id="only a date"),
    ],
)
def test_what_has_changed_is_converted_again(project, change, options, force, again):
    change(project)
    pool = _Refuser()
    options = ConversionOptions(Path("frames3.npz"), **options)
    sources = [Path("models/a.keras"), Path("models/b.keras")]
    outcomes = convert_batch(sources, Path("build"), options, lambda: pool, force=force)
    assert "".join(pool.names) == again
    assert "".join(outcome.name for outcome in outcomes if not outcome.skipped) == again


def test_unchanged_models_are_skipped_without_a_process(project, capsys):
    before = {file: file.stat().st_mtime_ns for file in Path("build").iterdir()}
    assert run("models", "--out", "build", "--calibration", "frames3.npz") == 0
    assert {file: file.stat().st_mtime_ns for file in Path("build").iterdir()} == before
    assert "0 converted, 0 failed, 2 unchanged" in capsys.readouterr().out


def test_a_changed_model_replaces_its_own_files_and_no_others(project, capsys):
    before = manifest(Path("build"))
    save_tiny_model(Path("models/a.keras"), 9)
    assert run("models", "--out", "build", "--calibration", "frames3.npz") == 0
    assert "1 converted, 0 failed, 1 unchanged" in capsys.readouterr().out
    after = manifest(Path("build"))
    assert after["b"] == before["b"]
    assert after["broken"] == before["broken"]  # a model that this run is not about
    assert after["a"]["outputs"]["a.tflite"]["sha256"] == sha256_of(Path("build/a.tflite"))
    assert sha256_of(Path("build/a.tflite")) != before["a"]["outputs"]["a.tflite"]["sha256"]


def test_a_failure_that_says_nothing_of_the_model_takes_nothing_away(project):
    """A crash, or a full disk: the files of before stay, and stay known."""
    files = {file: file.read_bytes() for file in Path("build").iterdir() if file.name != "manifest.json"}
    before = manifest(Path("build"))["a"]
    save_tiny_model(Path("models/a.keras"), 9)
    options = ConversionOptions(Path("frames3.npz"))
    convert_batch([Path("models/a.keras")], Path("build"), options, _Refuser)
    after = manifest(Path("build"))["a"]
    assert (after["result"], after["outputs"]) == ("failed", before["outputs"])
    assert {file: file.read_bytes() for file in files} == files
    again = _Refuser()
    convert_batch([Path("models/a.keras")], Path("build"), options, lambda: again)
    assert again.names == ["a"]  # it is tried again, and may replace its own files


def test_a_model_that_no_longer_passes_leaves_no_model_file(project, capsys):
    """Its own file of before would look as if it had passed."""
    limit = ["--max-corner-error", "1e-9"]
    assert run("models/a.keras", "--out", "build", "--calibration", "frames3.npz", *limit) == 1
    assert "a  FAILED" in capsys.readouterr().err
    assert not Path("build/a.tflite").exists()
    assert Path("build/b.tflite").exists()
    record = manifest(Path("build"))["a"]
    assert record["result"] == "failed"
    assert record["outputs"]["a.report.json"]["sha256"] == sha256_of(Path("build/a.report.json"))


@pytest.mark.parametrize(
    ("source", "message"),
    [("models/a.keras", "exists: give --overwrite"), ("other/b.keras", "was made from another model")],
)
def test_a_file_of_somebody_else_is_kept(project, capsys, source, message):
    save_tiny_model(Path("other/b.keras"), 9)
    Path("build/a.tflite").write_text("precious")
    before = manifest(Path("build"))
    assert run(source, "--out", "build", "--calibration", "frames3.npz") == 1
    assert message in capsys.readouterr().err
    assert Path("build/a.tflite").read_text() == "precious"
    assert manifest(Path("build")) == before


def test_a_model_with_an_unusable_name_does_not_stop_the_others(project, capsys):
    Path("models/a.keras").rename(os.fsdecode(b"models/0\xe9.keras"))  # is looked at first
    shutil.copy("models/b.keras", f"models/1{'x' * 248}.keras")
    for _ in range(2):  # the manifest that was written can be read
        assert run("models", "--out", "build", "--calibration", "frames3.npz") == 1
        out, err = capsys.readouterr()
        assert "0 converted, 2 failed, 1 unchanged" in out
        assert err.count("\n") == 2
        assert "0\\udce9  FAILED: models/0\\udce9.keras is not valid UTF-8" in err
        assert "bytes too long for a name" in err
    assert {os.fsdecode(b"0\xe9"), f"1{'x' * 248}", "a", "b"} <= set(manifest(Path("build")))


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


def test_a_crashed_process_is_the_failure_of_its_model_alone(inputs, tmp_path):
    models = ["models/a.keras", "models/broken.keras"]
    process = start_command(
        inputs, *models, "--out", tmp_path, "--calibration", "frames3.npz", "--jobs", "1", "--debug"
    )
    (first,) = wait_for(lambda: conversions_of(process))
    # TensorFlow converts what was saved here: that is where it crashes, and what it says there must not be lost.
    wait_for(lambda: list((tmp_path / ".stn-convert" / "model.a" / "tmp").glob("*/saved_model.pb")))
    first.send_signal(signal.SIGSEGV)
    out, err = process.communicate()
    assert process.returncode == 1
    assert "a  FAILED: its process was ended by signal 11 (SIGSEGV" in err
    assert "Fatal Python error: Segmentation fault" in err
    assert "broken  FAILED: models/broken.keras " in err  # the batch has gone on
    assert out.splitlines()[-1] == "0 converted, 2 failed"
    assert "SIGSEGV" in manifest(tmp_path)["a"]["reason"]
    assert "Fatal Python error: Segmentation fault" in manifest(tmp_path)["a"]["log"]
    assert [file.name for file in tmp_path.iterdir()] == ["manifest.json"]


def test_ctrl_c_leaves_whole_files_only_and_the_next_run_goes_on(inputs, tmp_path, monkeypatch):
    models = ["models/a.keras", "models/b.keras"]
    process = start_command(inputs, *models, "--out", tmp_path, "--calibration", "frames3.npz", "--jobs", "1")
    wait_for((tmp_path / "a.tflite").exists)
    wait_for((tmp_path / ".stn-convert" / "model.b" / "log.txt").exists)
    (second,) = wait_for(lambda: conversions_of(process))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert err == "stn-convert: stopped; run the same command again to go on\n"
    assert not second.is_running()
    left = {file.name for file in tmp_path.iterdir()}
    assert left == {"manifest.json", *manifest(tmp_path)["a"]["outputs"]}
    monkeypatch.chdir(inputs)
    pool = _Refuser()
    convert_batch([Path(m) for m in models], tmp_path, ConversionOptions(Path("frames3.npz")), lambda: pool)
    assert pool.names == ["b"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_conversion_outlives_the_command(inputs, tmp_path, number):
    process = start_command(inputs, "models/a.keras", "--out", tmp_path, "--calibration", "frames3.npz")
    (conversion,) = wait_for(lambda: conversions_of(process))
    process.send_signal(number)
    process.communicate()
    psutil.wait_procs([conversion], timeout=60)
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
    assert run("a.keras", "--out", "build", "--calibration", "frames.npz", *arguments) in (1, 2)
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
