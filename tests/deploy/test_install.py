"""deploy/install.sh, below a folder: no root, no user, no systemd. The rest is virtual_camera_test.sh's."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
Installer = Callable[..., subprocess.CompletedProcess[str]]
WheelMaker = Callable[..., Path]


@pytest.mark.slow
def test_a_second_run_upgrades_and_keeps_the_configuration_and_purge_leaves_nothing(
    install: Installer, make_wheel: WheelMaker, root: Path, tmp_path: Path
) -> None:
    install("--wheels", make_wheel(tmp_path / "one", "1.0", "first").parent)
    assert _run(root) == "first"
    assert (root / "etc/systemd/system/stn-rectify.service").read_text() == (DEPLOY / "stn-rectify.service").read_text()
    conf = root / "etc/stn-rectify/stn-rectify.conf"
    assert conf.read_text() == (DEPLOY / "stn-rectify.conf").read_text()

    conf.write_text("mine")
    install("--wheel", make_wheel(tmp_path / "same-version", "1.0", "second"))
    assert _run(root) == "second"
    install("--wheels", make_wheel(tmp_path / "two", "2.0", "third").parent)
    assert _run(root) == "third"
    assert conf.read_text() == "mine"

    install("--uninstall")
    assert [path for path in root.rglob("*") if path.is_file()] == [conf]
    install("--uninstall", "--purge")
    assert not list(root.rglob("stn-rectify*"))


def test_the_extras_asked_for_are_installed_and_no_others(
    install: Installer, make_wheel: WheelMaker, root: Path, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path / "wheels", extras=("web", "mqtt", "litert"))
    install("--wheels", wheel.parent, "--extras", "web,mqtt")
    assert {path.stem for path in root.rglob("needed_by_*.py")} == {"needed_by_web", "needed_by_mqtt"}


@pytest.mark.parametrize(
    ("interpreter", "named"),
    [("tflite-runtime 2.14.0", True), ("ai-edge-litert 2.3.0", False)],
    ids=["slower", "faster"],
)
def test_the_faster_interpreter_is_named_where_it_is_missing(
    interpreter: str, named: bool, install: Installer, make_wheel: WheelMaker, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path / "wheels", "1.0", f"stn-rectify 1.0 ({interpreter})")
    done = install("--wheels", wheel.parent)
    assert ("with litert among the --extras" in done.stdout + done.stderr) is named


def test_an_environment_of_another_python_is_made_anew(
    install: Installer, make_wheel: WheelMaker, root: Path, tmp_path: Path
) -> None:
    wheels = make_wheel(tmp_path / "wheels", "1.0", "works").parent
    python = root / "opt/stn-rectify/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to("/usr/bin/python3.0-gone")
    install("--wheels", wheels)
    assert _run(root) == "works"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--frobnicate"], "unknown option --frobnicate", id="unknown option"),
        pytest.param(["--wheels"], "--wheels needs a value", id="value missing"),
        pytest.param(["--purge"], "--purge needs --uninstall", id="purge alone"),
        pytest.param(["--extras", "web,train"], "unknown extra train", id="unknown extra"),
        pytest.param(["--wheel", "gone.whl"], "no such wheel: gone.whl", id="no such wheel"),
        pytest.param(["--wheels", "gone"], "no such folder: gone", id="no such folder"),
        pytest.param(["--wheels", "."], "no stn_rectify-*.whl in .", id="wheel missing"),
        pytest.param(["--wheels", "two"], "several stn_rectify-*.whl in two", id="two wheels"),
    ],
)
def test_wrong_arguments_end_with_one_line_and_change_nothing(
    arguments: list[str],
    message: str,
    install: Installer,
    make_wheel: WheelMaker,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_wheel(tmp_path / "two")
    make_wheel(tmp_path / "two", "2.0")
    monkeypatch.chdir(tmp_path)
    _check_refusal(install(*arguments, check=False), message, root)


@pytest.mark.parametrize(
    ("program", "script", "message"),
    [
        pytest.param("uname", "echo armv7l", "this is a armv7l machine", id="32-bit machine"),
        pytest.param(
            "python3",
            'case "$*" in *version_info*) exit 1;; esac; echo Python 3.9.2',
            "Python 3.9.2 is too old",
            id="old Python",
        ),
        pytest.param("python3", 'case "$*" in *maxsize*) exit 1;; esac', "64-bit Raspberry Pi", id="32-bit system"),
        pytest.param(
            "python3", 'case "$*" in *ensurepip*) exit 1;; esac', "apt-get install python3-venv", id="no venv"
        ),
        pytest.param("df", "printf 'head\\nd 9 9 102400 9 /\\n'", "has 100 MB free, 400 MB", id="disk full"),
    ],
)
def test_a_machine_that_does_not_fit_is_refused_with_what_to_do(
    program: str,
    script: str,
    message: str,
    install: Installer,
    make_wheel: WheelMaker,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _fake(program, script, tmp_path, monkeypatch)
    wheel = make_wheel(tmp_path / "wheels")
    _check_refusal(install("--wheel", wheel, check=False), message, root)


def test_where_nothing_can_be_written_one_line_says_so(make_wheel: WheelMaker, tmp_path: Path) -> None:
    """Of /proc nobody can, which needs no mount."""
    wheels = make_wheel(tmp_path / "wheels").parent
    command = ["sh", DEPLOY / "install.sh", "--root", "/proc", "--wheels", wheels]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    message = "install.sh: error: /proc/opt cannot be written to: where it is read-only, mount -o remount,rw /"
    assert (done.returncode, done.stderr) == (1, f"{message} makes it writable\n")


def test_what_is_written_to_the_script_while_it_runs_is_not_run(
    two_versions: Callable[[Path], None], root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell reads on where it is, be the script another one by then, as when a newer checkout is copied over it."""
    two_versions(root)
    shutil.copytree(DEPLOY, tmp_path / "deploy", ignore=shutil.ignore_patterns("virtual-pi"))
    script = tmp_path / "deploy/install.sh"
    _fake("sync", f"echo 'echo again' >>{script}", tmp_path, monkeypatch)
    command = ["sh", script, "--root", root, "rollback"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "went back from 2.0 to 1.0" in done.stderr
    assert script.read_text().endswith("echo again\n")


def test_without_root_nothing_is_installed_into_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake("id", "echo 1000", tmp_path, monkeypatch)
    done = subprocess.run(["sh", DEPLOY / "install.sh"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "this needs root: sudo" in done.stderr


def _fake(program: str, script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts another program of that name before the system's."""
    path = tmp_path / "bin" / program
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")


def _check_refusal(done: subprocess.CompletedProcess[str], message: str, root: Path) -> None:
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.startswith("install.sh: error: ")
    assert done.stderr.count("\n") == 1
    assert not [path for path in root.rglob("*") if path.is_file()]


def _run(root: Path) -> str:
    return subprocess.check_output([root / "opt/stn-rectify/bin/stn-rectify"], text=True).strip()
