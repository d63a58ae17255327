"""The same batch on a Dask cluster: a real scheduler, real workers, real deaths."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import psutil
import pytest

from stn_rectify.converters.batch.fingerprint import sha256_of
from stn_rectify.converters.cli import main
from stn_rectify.converters.reading.model_files import sha256_of_model
from stn_rectify.runtime.model.model_file import ModelFile
from stn_rectify.runtime.recognition.recognizer_file import RecognizerFile
from tests.converters.conversion_commands import (
    held_conversion,
    manifest,
    save_tiny_model,
    save_tiny_recognizer,
    save_tiny_refine,
    start_command,
)
from tests.converters.keras_models import save_frames
from tests.waiting import DEADLINE_S, wait_for

pytest.importorskip("distributed")

_WORKER = "from distributed.cli.dask_worker import main; main()"
_OLD_WORKER = f"""
import importlib.metadata
version = importlib.metadata.version
importlib.metadata.version = lambda package: "0.0.1" if package == "stn-rectify" else version(package)
{_WORKER}
"""


class Cluster:
    """Scheduler and workers, each a process."""

    def __init__(self, folder, allowed_failures=3):
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        self.processes = []
        code = "from distributed.cli.dask_scheduler import main; main()"
        self.environment = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(allowed_failures)}
        self._start(code, "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")

    def start_worker(self, code=_WORKER):
        options = ["--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", self.folder]
        worker = self._start(code, self.address, *options)
        log = self.folder / f"process{len(self.processes) - 1}.log"
        wait_for("a worker at the scheduler", lambda: "Registered to" in log.read_text(), told=log.read_text)
        return worker

    def _start(self, code, *arguments):
        with (self.folder / f"process{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", code, *arguments], stdout=log, stderr=log, env=self.environment
            )
        self.processes.append(process)
        return process

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path_factory, request):
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), **getattr(request, "param", {}))
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Two models, the first with a refine network, and frames."""
    folder = tmp_path_factory.mktemp("inputs")
    for seed, name in enumerate("ab"):
        save_tiny_model(folder / f"{name}.keras", seed)
    save_tiny_refine(folder / "a.keras")
    save_frames(folder, (16, 16, 3), 20)
    return folder


def start(inputs, cluster, out, *models):
    return start_command(inputs, *models, "--out", out, "--calibration", "frames3.npz", "--scheduler", cluster.address)


@pytest.mark.slow
def test_a_killed_worker_loses_nothing_and_nothing_is_published_twice(inputs, cluster, tmp_path):
    workers = [cluster.start_worker(), cluster.start_worker()]
    command = start(inputs, cluster, tmp_path / "out", "a.keras", "b.keras")
    with held_conversion(workers[0]) as doomed, held_conversion(workers[1]) as other:  # both at work
        workers[0].kill()
    out, err = command.communicate(timeout=DEADLINE_S)
    assert command.returncode == 0, err
    psutil.wait_procs([doomed, other], timeout=DEADLINE_S)
    assert not doomed.is_running()  # a conversion dies with its worker
    lines = out.splitlines()
    assert sorted(line.split("  ")[0] for line in lines[:2]) == ["a", "b"]  # each finished once
    assert [line.split()[:2] for line in lines[3:5]] == [["a", "converted"], ["b", "converted"]]
    records = manifest(tmp_path / "out")
    outputs = {name: known for record in records.values() for name, known in record["outputs"].items()}
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"manifest.json", *outputs}
    for name, known in outputs.items():
        assert known["sha256"] == sha256_of(tmp_path / "out" / name)
    for name in "ab":
        assert records[name]["result"] == "passed"
        assert records[name]["source_sha256"] == sha256_of_model(inputs / f"{name}.keras")
        model = ModelFile.open(tmp_path / "out" / f"{name}.tflite")
        assert (model.metadata.name, model.networks) == (name, 2 if name == "a" else 1)
        report = (tmp_path / "out" / f"{name}.report.json").read_text()
        assert json.loads(report)["source"] == f"{name}.keras"
        assert str(cluster.folder) not in report  # no paths of a worker


def test_a_recognizer_takes_its_own_images_and_labels_along(cluster, tmp_path):
    """They travel, and the file is the same bytes as from one machine."""
    save_tiny_recognizer(tmp_path / "plate.recognizer.keras")
    cluster.start_worker()
    for out, where in (("there", ["--scheduler", cluster.address]), ("here", [])):
        command = start_command(
            tmp_path, "plate.recognizer.keras", "--out", out, "--calibration", "missing", "--no-latency", *where
        )
        _, err = command.communicate()
        assert command.returncode == 0, err
    there, here = (tmp_path / out / "plate.recognizer.tflite" for out in ("there", "here"))
    assert there.read_bytes() == here.read_bytes()
    assert RecognizerFile.open(there).labels == ("a", "b", "c")
    options = json.loads((tmp_path / "there" / "plate.recognizer.report.json").read_text())["options"]
    assert options["calibration"] == "plate.recognizer.calibration.npz"


@pytest.mark.parametrize("cluster", [{"allowed_failures": 0}], indirect=True)
def test_a_model_that_kills_its_workers_is_given_up(inputs, cluster, tmp_path):
    """After as many deaths as the scheduler is set to allow; here none, by default three."""
    worker = cluster.start_worker()
    command = start(inputs, cluster, tmp_path / "out", "a.keras")
    with held_conversion(worker):
        worker.kill()
    _, err = command.communicate(timeout=DEADLINE_S)
    assert command.returncode == 1
    assert "a  FAILED: its worker died, 1 times of 1" in err
    assert manifest(tmp_path / "out")["a"]["result"] == "failed"


@pytest.mark.slow
def test_without_workers_it_waits_and_says_so_and_goes_on_when_one_comes(inputs, cluster, tmp_path):
    """The frames went to the worker that died: they are made anew."""
    worker = cluster.start_worker()
    command = start(inputs, cluster, tmp_path / "out", "a.keras")
    with held_conversion(worker):
        worker.kill()
    assert "no Dask workers" in command.stderr.readline()
    cluster.start_worker()
    assert "going on" in command.stderr.readline()
    command.communicate(timeout=DEADLINE_S)
    assert command.returncode == 0
    assert (tmp_path / "out" / "a.tflite").exists()


def test_ctrl_c_stops_the_work_on_the_workers_too(inputs, cluster, tmp_path):
    worker = cluster.start_worker()
    command = start(inputs, cluster, tmp_path / "out", "a.keras", "b.keras")
    with held_conversion(worker) as conversion:
        command.send_signal(signal.SIGINT)
        _, err = command.communicate(timeout=DEADLINE_S)
    assert command.returncode == 130
    assert err == "stn-convert: stopped; run the same command again to go on\n"
    assert list((tmp_path / "out").iterdir()) == []
    psutil.wait_procs([conversion], timeout=DEADLINE_S)
    assert not conversion.is_running()
    assert worker.poll() is None


@pytest.mark.slow
def test_a_scheduler_that_goes_away_is_one_clear_line(inputs, cluster, tmp_path):
    worker = cluster.start_worker()
    command = start(inputs, cluster, tmp_path / "out", "a.keras")
    with held_conversion(worker):
        cluster.processes[0].kill()
        _, err = command.communicate(timeout=DEADLINE_S)
    assert command.returncode == 1
    assert err.count("\n") == 1
    assert "is gone: start it" in err
    assert list((tmp_path / "out").iterdir()) == []


def test_a_worker_of_another_version_is_one_clear_line(inputs, cluster, tmp_path):
    cluster.start_worker(_OLD_WORKER)
    command = start(inputs, cluster, tmp_path / "out", "a.keras", "b.keras")
    _, err = command.communicate(timeout=DEADLINE_S)
    assert command.returncode == 2
    assert err.count("\n") == 1
    assert "has stn_rectify 0.0.1 instead of" in err


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer_is_one_clear_line(inputs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(inputs)
    arguments = ["a.keras", "--out", str(tmp_path), "--calibration", "frames3.npz", "--scheduler"]
    assert main([*arguments, "tcp://127.0.0.1:1"]) == 2
    err = capsys.readouterr().err
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in err
    assert err.count("\n") == 1
    assert main([*arguments, "nonsense://"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert os.listdir(tmp_path) == []
