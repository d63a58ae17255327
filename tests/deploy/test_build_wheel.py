"""deploy/build_wheel.py: the wheel is made of the files of the checkout, and of nothing else."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = "deploy/build_wheel.py"
_LEAST = 77  # setuptools, by pyproject.toml
_LONG_AGO_S = 10**9


def _build(checkout: Path, out: Path, **environment: str) -> Path:
    if int(version("setuptools").split(".")[0]) < _LEAST:
        pytest.skip(f"setuptools {version('setuptools')} here, {_LEAST} is needed")
    # Without isolation pip needs no network; PYTHONPATH would show it setuptools from elsewhere.
    command = [sys.executable, checkout / SCRIPT, out, "--no-build-isolation", "--no-index"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    (wheel,) = out.iterdir()
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The checkout in the hands of somebody else: other times and modes, and what a build leaves in it."""
    checkout = tmp_path / "copied"
    for part in (*runpy.run_path(str(ROOT / SCRIPT))["PARTS"], SCRIPT):
        (checkout / part).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(ROOT / part, checkout / part)
    for path in checkout.rglob("*"):
        os.utime(path, (_LONG_AGO_S, _LONG_AGO_S))
        path.chmod(0o700 if path.is_dir() else 0o660)
    left = checkout / "build/lib/stn_rectify/runtime/gone.py"
    left.parent.mkdir(parents=True)
    left.touch()
    return checkout


def test_the_same_files_give_the_same_bytes(wheel: Path, copied: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        again = _build(copied, tmp_path / "out", TZ="Asia/Tokyo", PYTHONHASHSEED="1", LC_ALL="C")
    finally:
        os.umask(before)
    assert again.name == wheel.name
    assert again.read_bytes() == wheel.read_bytes()


def test_source_date_epoch_is_the_time_of_the_files(copied: Path, tmp_path: Path, wheel: Path) -> None:
    dated = _build(copied, tmp_path / "out", SOURCE_DATE_EPOCH="1700000000")  # 2023-11-14, 22:13:20 UTC
    with zipfile.ZipFile(dated) as archive:
        assert {info.date_time for info in archive.infolist()} == {(2023, 11, 14, 22, 13, 20)}
    assert dated.read_bytes() != wheel.read_bytes()


def test_all_that_runs_without_a_checkout_is_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    files = {
        f"stn_rectify/{path.relative_to(ROOT).as_posix()}"
        for top in ("runtime", "models", "converters")
        for path in (ROOT / top).rglob("*.py")
    }
    files |= {f"stn_rectify/{path.relative_to(ROOT)}" for path in (ROOT / "runtime/data").glob("*.tflite")}
    files |= {f"stn_rectify/{path.relative_to(ROOT)}" for path in (ROOT / "runtime/web/page").iterdir()}
    assert files <= names
    assert any(name.endswith("share/man/man1/stn-rectify.1") for name in names)
    assert not any(name.startswith(("tests/", "deploy/")) for name in names)


def test_half_a_checkout_is_refused(copied: Path, tmp_path: Path) -> None:
    (copied / "docs/reference/stn-rectify.1").unlink()
    done = subprocess.run([sys.executable, copied / SCRIPT, tmp_path / "out"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "no whole checkout of stn-rectify: docs/reference/stn-rectify.1 is missing" in done.stderr
