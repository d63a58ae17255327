"""A small wheel in place of ours, and the installer run below a folder of the test's own."""

from __future__ import annotations

import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

INSTALL = Path(__file__).parents[2] / "deploy" / "install.sh"


def _make_wheel(folder: Path, version: str = "1.0", greeting: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    info = f"stn_rectify-{version}.dist-info"
    files = {
        "stn_rectify_stub.py": f"def main(): print({greeting!r})\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: stn-rectify\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nstn-rectify = stn_rectify_stub:main\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    path = folder / f"stn_rectify-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(name, content)
    return path


@pytest.fixture
def make_wheel() -> Callable[..., Path]:
    """Makes a wheel named stn-rectify that needs nothing; its command prints the greeting."""
    return _make_wheel


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What stands for / of the device."""
    return tmp_path / "root"


@pytest.fixture
def install(root: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs deploy/install.sh below `root` with the given arguments."""

    def run(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = ["sh", INSTALL, "--root", root, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0 or not check, done.stderr
        return done

    return run
