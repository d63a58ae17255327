"""A small wheel in place of ours, and the installer run below a folder of the test's own."""

from __future__ import annotations

import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

INSTALL = Path(__file__).parents[2] / "deploy" / "install.sh"


def _make_wheel(
    folder: Path,
    version: str = "1.0",
    greeting: str = "",
    extras: tuple[str, ...] = (),
    *,
    needs: tuple[str, ...] = (),
    fails: str | None = None,
) -> Path:
    lines = "".join(f"Provides-Extra: {name}\nRequires-Dist: needed-by-{name}; extra == '{name}'\n" for name in extras)
    lines += "".join(f"Requires-Dist: {name}\n" for name in needs)
    for name in extras:
        _zip_wheel(folder, f"needed_by_{name}", "1.0", {f"needed_by_{name}.py": ""})
    stub = f"""
import sys

def main():
    if {fails!r} in sys.argv:
        sys.exit({fails!r} + " fails")
    print({greeting!r})
"""
    return _zip_wheel(folder, "stn_rectify", version, {"stn_rectify_stub.py": stub}, lines)


def _zip_wheel(folder: Path, name: str, version: str, modules: dict[str, str], needs: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    files = {
        **modules,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if name == "stn_rectify":
        files[f"{info}/entry_points.txt"] = "[console_scripts]\nstn-rectify = stn_rectify_stub:main\n"
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, content in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(file, content)
    return path


@pytest.fixture
def make_wheel() -> Callable[..., Path]:
    """Makes a wheel named stn-rectify, whose command prints the greeting, and one more for each of its extras.

    ``needs`` are further requirements; the command fails where ``fails`` is one of its arguments.
    """
    return _make_wheel


@pytest.fixture
def zip_wheel() -> Callable[..., Path]:
    """Makes a wheel of any name and version that holds the given modules."""
    return _zip_wheel


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What stands for / of the device."""
    return tmp_path / "root"


@pytest.fixture
def install(root: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs deploy/install.sh below `root` with the given arguments."""

    def run(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = ["sh", INSTALL, "--root", root, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0 or not check, done.stderr
        return done

    return run


@pytest.fixture
def two_versions() -> Callable[[Path], None]:
    """Makes an installation of two versions below a folder, in no time; they say which one runs, the newer one."""

    def make(root: Path) -> None:
        home = root / "opt/stn-rectify"
        for version in ("1.0", "2.0"):
            program = home / "versions" / version / "bin/stn-rectify"
            program.parent.mkdir(parents=True)
            program.write_text(f"#!/bin/sh\necho runs {version}\n")
            program.chmod(0o755)
        (home / "versions/2.0/replaces").write_text("1.0\n")
        (home / "current").symlink_to("versions/2.0")
        (home / "bin").mkdir()
        (home / "bin/stn-rectify").symlink_to("../current/bin/stn-rectify")

    return make
