"""Upgrades of deploy/install.sh: a new version beside the old one, one step from one to the other, and back."""

from __future__ import annotations

import contextlib
import ensurepip
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

INSTALL = Path(__file__).parents[2] / "deploy" / "install.sh"
POINTS = 60  # at which a run is killed
Installer = Callable[..., subprocess.CompletedProcess[str]]
WheelMaker = Callable[..., Path]


@pytest.mark.slow
def test_rollback_goes_back_and_forward_and_two_versions_are_kept(
    install: Installer, make_wheel: WheelMaker, root: Path, tmp_path: Path
) -> None:
    for version in ("1.0", "2.0", "3.0"):
        install("--offline", make_wheel(tmp_path / version, version, f"runs {version}").parent)
        assert _said(root) == f"runs {version}"
    assert _versions(root) == ["2.0", "3.0"]
    assert install("versions").stdout == ("3.0 runs\n2.0 ran before it: stn-rectify-install rollback takes it\n")
    # The installed one acts on the installation that it belongs to.
    installed = root / "opt/stn-rectify/bin/stn-rectify-install"
    for version in ("2.0", "3.0"):
        done = subprocess.run([installed, "rollback"], capture_output=True, text=True, timeout=600)
        assert (done.returncode, _said(root)) == (0, f"runs {version}"), done.stderr
    assert _versions(root) == ["2.0", "3.0"]


@pytest.mark.slow
@pytest.mark.parametrize("fails", ["doctor", "--demo"])
def test_a_version_that_fails_its_test_is_not_taken(
    fails: str, install: Installer, make_wheel: WheelMaker, root: Path, tmp_path: Path
) -> None:
    install("--wheels", make_wheel(tmp_path / "one", "1.0", "runs 1.0").parent)
    done = install("--wheels", make_wheel(tmp_path / "two", "2.0", fails=fails).parent, check=False)
    assert done.returncode == 1
    assert f"{fails} fails" in done.stderr
    assert f"(stn-rectify {fails}, see above): 1.0 runs on, nothing was changed" in done.stderr
    assert _said(root) == "runs 1.0"
    assert _versions(root) == ["1.0"]


def test_without_a_version_before_there_is_nothing_to_go_back_to(
    install: Installer, make_wheel: WheelMaker, root: Path, tmp_path: Path
) -> None:
    done = install("rollback", check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "nothing is installed in" in done.stderr
    install("--wheels", make_wheel(tmp_path / "one", "1.0", "runs 1.0").parent)
    done = install("rollback", check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "install.sh: error: there is no version before 1.0 to go back to\n",
    )
    assert _said(root) == "runs 1.0"


@pytest.mark.slow
def test_an_installation_of_one_environment_is_taken_over(
    install: Installer, make_wheel: WheelMaker, root: Path, tmp_path: Path
) -> None:
    """As installers up to 0.1.0 made it."""
    _install_as_before(root, make_wheel(tmp_path / "one", "1.0", "stn-rectify 1.0 (an interpreter)"))
    install("--wheels", make_wheel(tmp_path / "two", "2.0", "runs 2.0").parent)
    assert _said(root) == "runs 2.0"
    assert _versions(root) == ["1.0", "2.0"]
    home = root / "opt/stn-rectify"
    assert {path.name for path in home.iterdir()} == {".lock", "bin", "current", "versions"}
    assert {path.name for path in (home / "bin").iterdir()} == {"python", "stn-rectify", "stn-rectify-install"}
    subprocess.run([home / "bin/python", "-c", "import stn_rectify_stub"], check=True)
    install("rollback")
    assert _said(root) == "stn-rectify 1.0 (an interpreter)"


@pytest.mark.slow
def test_an_installation_that_an_interrupted_upgrade_broke_is_mended(
    install: Installer, make_wheel: WheelMaker, root: Path, tmp_path: Path
) -> None:
    """Installers up to 0.1.0, killed when pip had removed the old version."""
    _install_as_before(root, make_wheel(tmp_path / "one", "1.0", "old"))
    next(root.rglob("stn_rectify_stub.py")).unlink()
    done = install("--wheels", make_wheel(tmp_path / "two", "2.0", "runs 2.0").parent)
    assert "does not run: it is replaced" in done.stderr
    assert _said(root) == "runs 2.0"
    assert _versions(root) == ["2.0"]


@pytest.mark.parametrize(
    ("version", "arguments", "status", "message"),
    [
        pytest.param(
            "2.5.0", [], 1, "tomli-2.5.0-py3-none-any.whl is not the file that requirements.txt", id="altered"
        ),
        pytest.param("2.4.0", [], 0, "note: of unknown content", id="other version"),
        pytest.param(
            "2.4.0", ["--require-hashes"], 1, "not in requirements.txt, so of unknown content: tomli-2.4.0", id="strict"
        ),
    ],
)
def test_the_wheels_of_a_folder_are_those_of_the_requirements(
    version: str,
    arguments: list[str],
    status: int,
    message: str,
    install: Installer,
    make_wheel: WheelMaker,
    zip_wheel: WheelMaker,
    root: Path,
    tmp_path: Path,
) -> None:
    wheels = tmp_path / "wheels"
    make_wheel(wheels, "1.0", "runs 1.0", needs=("tomli>=2",))
    zip_wheel(wheels, "tomli", version, {"tomli.py": ""})
    done = install("--wheels", wheels, *arguments, check=False)
    assert done.returncode == status
    assert message in done.stderr
    assert _versions(root) == ([] if status else ["1.0"])


def test_a_folder_in_which_a_wheel_is_missing_is_refused_with_what_to_do(
    install: Installer, make_wheel: WheelMaker, root: Path, tmp_path: Path
) -> None:
    wheels = make_wheel(tmp_path / "wheels", "1.0", "runs 1.0", needs=("missing>=1",)).parent
    done = install("--offline", wheels, check=False)
    assert done.returncode == 1
    assert done.stderr.count("requirement missing>=1") == 1, "pip's line, once"
    assert "download_wheels.py makes a folder that is complete" in done.stderr
    assert _versions(root) == []


def test_a_folder_that_was_damaged_on_its_way_is_refused(
    install: Installer, make_wheel: WheelMaker, root: Path, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path / "wheels", "1.0", "runs 1.0")
    sums = subprocess.check_output(["sha256sum", wheel.name], cwd=wheel.parent)
    (wheel.parent / "SHA256SUMS").write_bytes(sums)
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    done = install("--wheels", wheel.parent, check=False)
    assert done.returncode == 1
    assert "is not as it was made (see above): copy it again" in done.stderr
    assert _versions(root) == []


@pytest.mark.slow
def test_killed_at_any_point_the_old_or_the_new_version_runs(
    install: Installer, make_wheel: WheelMaker, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of the points lie evenly in the time of a run, half in its steps; every other one leaves pip alive."""
    wheels = {v: make_wheel(tmp_path / v, v, f"runs {v}").parent for v in ("1.0", "2.0")}
    for folder in wheels.values():
        _copy_pip(folder)
    install("--wheels", wheels["1.0"])
    started = time.monotonic()
    steps = len(install_steps(root, wheels["2.0"]))
    seconds = time.monotonic() - started
    seen: Counter[str] = Counter()
    for point in range(POINTS):
        before = _said(root)
        other = wheels["2.0" if before.endswith("1.0") else "1.0"]
        share = (point // 2 + 0.5) / (POINTS // 2)
        if point % 2:
            _kill_after(root, "--wheels", other, seconds=share * seconds, group=point % 4 == 1)
        else:
            _kill_after(root, "--wheels", other, steps=round(share * steps), group=point % 4 == 0)
        after = _said(root)  # which fails where nothing runs
        seen["the old one runs" if after == before else "the new one runs"] += 1
    with capsys.disabled():
        print(f"\nkilled at {POINTS} points: {dict(seen)}")
    assert seen["the old one runs"] >= 10
    assert seen["the new one runs"] >= 1
    install("--wheels", wheels["2.0"])
    assert _said(root) == "runs 2.0"
    assert len(_versions(root)) == 2
    left = {path.name for path in (root / "opt/stn-rectify").iterdir()}
    assert left == {".lock", "bin", "current", "versions"}


def test_what_runs_is_kept_and_another_installation_counts_for_nothing(
    two_versions: Callable[[Path], None], tmp_path: Path
) -> None:
    """A service of a version that is none of the last two, here; one of a version of the same name, elsewhere."""
    here, elsewhere = tmp_path / "here [1]", tmp_path / "elsewhere"
    with contextlib.ExitStack() as stack:
        for root, running in ((here, "0.8"), (elsewhere, "0.9")):
            two_versions(root)
            for version in ("0.8", "0.9"):
                program = root / "opt/stn-rectify/versions" / version / "bin/stn-rectify"
                program.parent.mkdir(parents=True)
                program.write_text("#!/bin/sh\necho runs\nread _\n")
                program.chmod(0o755)
            program = root / "opt/stn-rectify/versions" / running / "bin/stn-rectify"
            run = stack.enter_context(subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            stack.callback(run.kill)
            assert run.stdout is not None
            run.stdout.readline()
        script = f"""set -eu
NAME=stn-rectify home={shlex.quote(str(here / "opt/stn-rectify"))}
. {shlex.quote(str(INSTALL.parent / "installer/versions.sh"))}
clear_away"""
        subprocess.run(["sh", "-c", script], check=True, timeout=60)
    assert _versions(here) == ["0.8", "1.0", "2.0"]


def test_killed_while_it_changes_over_one_of_the_two_runs(two_versions: Callable[[Path], None], root: Path) -> None:
    """The change alone, to and fro without end, so that the kills hit it and nothing else."""
    two_versions(root)
    home = root / "opt/stn-rectify"
    script = f"""set -eu
NAME=stn-rectify home={shlex.quote(str(home))}
. {shlex.quote(str(INSTALL.parent / "installer/versions.sh"))}
sync() {{ :; }}
switch_to 1.0
while echo changed; do switch_to 2.0; switch_to 1.0; done"""
    seen: Counter[str] = Counter()
    for point in range(POINTS):
        with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True) as run:
            assert run.stdout is not None
            run.stdout.readline()
            for _ in range(point % 7):  # wherever it is by then
                seen[_said(root)] += 1
            os.killpg(run.pid, signal.SIGKILL)
        seen[_said(root)] += 1
    assert set(seen) == {"runs 1.0", "runs 2.0"}, seen


def test_a_rollback_killed_at_any_step_leaves_one_of_the_two(
    install: Installer, two_versions: Callable[[Path], None], root: Path
) -> None:
    two_versions(root)
    seen: Counter[str] = Counter()
    step, is_over = 0, False
    while not is_over:
        step += 1
        before = _said(root)
        is_over = not _kill_after(root, "rollback", steps=step, group=True)
        seen["gone back" if _said(root) != before else "not yet"] += 1
        assert _versions(root) == ["1.0", "2.0"]
    assert seen["not yet"] > 5
    assert seen["gone back"] > 1
    for _ in range(2):
        before = _said(root)
        install("rollback")
        assert {before, _said(root)} == {"runs 1.0", "runs 2.0"}


@pytest.mark.slow
def test_killed_while_it_takes_over_an_old_installation_it_runs(
    install: Installer, make_wheel: WheelMaker, root: Path, tmp_path: Path
) -> None:
    old = make_wheel(tmp_path / "one", "1.0", "stn-rectify 1.0 (an interpreter)")
    new = make_wheel(tmp_path / "two", "2.0", "runs 2.0").parent
    _install_as_before(root, old)
    # Through all of its steps, each run a little further than the one before.
    for step in range(30, 130, 7):
        _kill_after(root, "--wheels", new, steps=step, group=True)
        assert _said(root) in ("stn-rectify 1.0 (an interpreter)", "runs 2.0")
    install("--wheels", new)
    assert _said(root) == "runs 2.0"
    assert not (root / "opt/stn-rectify/pyvenv.cfg").exists()


def install_steps(root: Path, wheels: Path) -> list[str]:
    """The commands of a whole run, as the shell prints them."""
    command = ["sh", "-x", INSTALL, "--root", root, "--wheels", wheels]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("+")]


def _kill_after(
    root: Path, *words: str | Path, seconds: float | None = None, steps: int | None = None, group: bool
) -> bool:
    """Kills a run, alone or with all that it has started, after a time or a number of steps, unless it ends before."""
    command = ["sh", "-x", INSTALL, "--root", root, *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as run:
        assert run.stderr is not None
        if seconds is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.communicate(timeout=seconds)
        else:
            counted = 0
            for line in run.stderr:
                counted += line.startswith("+")
                if counted == steps:
                    break
        was_running = run.poll() is None
        if was_running:
            if group:
                os.killpg(run.pid, signal.SIGKILL)
            else:
                run.kill()
        run.stderr.close()
        return was_running


def _copy_pip(folder: Path) -> None:
    """Copies Python's own wheel of pip, as for devices without the package python3-venv; it is quicker."""
    places = (Path(ensurepip.__file__).parent / "_bundled", Path("/usr/share/python-wheels"))
    for wheel in (wheel for place in places for wheel in place.glob("pip-*.whl")):
        shutil.copy(wheel, folder)
        return


def _install_as_before(root: Path, wheel: Path) -> None:
    home = root / "opt/stn-rectify"
    subprocess.run([sys.executable, "-m", "venv", home], check=True, timeout=600)
    pip = [home / "bin/python", "-m", "pip", "install", "--quiet", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*pip, wheel], check=True, timeout=600)


def _said(root: Path) -> str:
    return subprocess.check_output([root / "opt/stn-rectify/bin/stn-rectify"], text=True).strip()


def _versions(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "opt/stn-rectify/versions").glob("*"))
