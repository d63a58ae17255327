"""deploy/install.sh where the disk refuses: read-only, or full in the middle of a change."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

INSTALL = Path(__file__).parents[2] / "deploy" / "install.sh"
WheelMaker = Callable[..., Path]
Maker = Callable[[Path], None]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 60 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with _mounted(folder, "-t", "tmpfs", "-o", "size=60m", "none"):
        yield folder


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose programs come before the system's."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.mark.parametrize("words", [("--wheels", "wheels"), ("rollback",), ("--uninstall",)], ids=lambda words: words[0])
def test_on_a_read_only_root_one_line_says_what_to_do(
    words: tuple[str, ...],
    root: Path,
    two_versions: Maker,
    make_wheel: WheelMaker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    two_versions(root)
    make_wheel(tmp_path / "wheels")
    monkeypatch.chdir(tmp_path)
    with _mounted(root, "--bind", root):
        subprocess.run(["mount", "-o", "remount,bind,ro", root], check=True)
        done = _run(root, *words)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "cannot be written to: where it is read-only, mount -o remount,rw / makes it writable" in done.stderr
    assert _said(root) == "runs 2.0"


def test_another_users_installation_is_one_line(root: Path, two_versions: Maker, paths: Path) -> None:
    """`id` and `test -w` say what they say to a user that may not write there; the test's own may."""
    two_versions(root)
    (paths / "id").write_text("#!/bin/sh\necho 1000\n")
    (paths / "id").chmod(0o755)
    with _mounted(root, "--bind", root):
        subprocess.run(["mount", "-o", "remount,bind,ro", root], check=True)
        done = _run(root, "rollback")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "opt/stn-rectify cannot be written to by this user: sudo" in done.stderr


@pytest.mark.parametrize("program", ["ln", "chmod", "sync", "mv"])
def test_a_disk_that_is_full_by_then_stops_a_rollback_with_a_line_or_not_at_all(
    program: str, disk: Path, paths: Path, two_versions: Maker
) -> None:
    root = disk / "root"
    two_versions(root)
    _fill_before(program, paths, disk)
    done = _run(root, "rollback")
    _check_end(done, root, "2.0", "1.0")
    (disk / "filler").unlink()
    (paths / program).unlink()
    before = _said(root)
    assert _run(root, "rollback").returncode == 0
    assert {before, _said(root)} == {"runs 1.0", "runs 2.0"}


@pytest.mark.slow
@pytest.mark.parametrize("program", ["python3", "mv", "ln", "sync"])
def test_a_disk_that_is_full_by_then_stops_an_upgrade_with_a_line_or_not_at_all(
    program: str, disk: Path, paths: Path, two_versions: Maker, make_wheel: WheelMaker, tmp_path: Path
) -> None:
    root = disk / "root"
    two_versions(root)
    (paths / "df").write_text("#!/bin/sh\nprintf 'head\\nd 9 9 1024000 9 /\\n'\n")
    (paths / "df").chmod(0o755)
    wheels = make_wheel(tmp_path / "wheels", "3.0", "runs 3.0").parent
    _fill_before(program, paths, disk)
    done = _run(root, "--wheels", wheels)
    _check_end(done, root, "2.0", "3.0")
    left = {path.name for path in (root / "opt/stn-rectify/versions").iterdir()}
    assert {"2.0", _said(root).removeprefix("runs ")} <= left <= {"1.0", "2.0", _said(root).removeprefix("runs ")}
    (disk / "filler").unlink()
    (paths / program).unlink()
    assert _run(root, "--wheels", wheels).returncode == 0
    assert _said(root) == "runs 3.0"


@contextmanager
def _mounted(folder: Path, *words: str | Path) -> Iterator[None]:
    if os.geteuid() != 0 or subprocess.run(["mount", *words, folder], check=False).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def _fill_before(program: str, paths: Path, disk: Path) -> None:
    """The first call of a program finds the disk full."""
    real, filler = shutil.which(program), disk / "filler"
    fill = f"[ -e {filler} ] || dd if=/dev/zero of={filler} bs=4k 2>/dev/null"
    (paths / program).write_text(f'#!/bin/sh\n{fill}\nexec {real} "$@"\n')
    (paths / program).chmod(0o755)


def _check_end(done: subprocess.CompletedProcess[str], root: Path, old: str, new: str) -> None:
    """The old version runs, or the new one; an error has one line of ours, and it names the one that runs."""
    said = _said(root)
    assert said in (f"runs {old}", f"runs {new}"), done.stderr
    assert done.returncode == 0 or f"{said.removeprefix('runs ')} runs on" in done.stderr or "see above" in done.stderr
    assert done.returncode == 1 or said == f"runs {new}", done.stderr
    assert done.stderr.count("error: ") == done.returncode, done.stderr


def _run(root: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["sh", INSTALL, "--root", root, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def _said(root: Path) -> str:
    return subprocess.check_output([root / "opt/stn-rectify/bin/stn-rectify"], text=True).strip()
