#!/usr/bin/env python3
"""Builds the wheel of this checkout: the same files give the same bytes, wherever, whenever and by whomever.

    python3 deploy/build_wheel.py dist/ [OPTION OF PIP ...]

SOURCE_DATE_EPOCH is the time of the files in it (1980 if it is not set). Other versions of setuptools may give other
bytes: deploy/requirements.txt names the one that the installer and the container file take.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
#: What the wheel is made of, and nothing of a checkout else: earlier builds lie there, too.
PARTS = (
    "setup.cfg",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "docs/reference/stn-rectify.1",
    "runtime",
    "models",
    "converters",
)
_EPOCH_OF_ZIP = "315532800"  # 1980-01-01; before that a ZIP file has no time


def main() -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="gets the wheel")
    options, of_pip = parser.parse_known_args()
    for part in PARTS:
        if not (_ROOT / part).exists():
            parser.error(f"{_ROOT} is no whole checkout of stn-rectify: {part} is missing")
    os.umask(0o022)  # a wheel has the modes of its files, and a checkout those of its owner
    environment = {"SOURCE_DATE_EPOCH": _EPOCH_OF_ZIP, **os.environ}
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "source"
        for part in PARTS:
            _copy(_ROOT / part, source / part)
        command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--disable-pip-version-check"]
        built = subprocess.run([*command, *of_pip, "-w", options.folder, source], env=environment, check=False)
    if built.returncode:
        sys.exit("build_wheel.py: error: pip could not build the wheel, see above")
    return 0


def _copy(path: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(path, copy, copy_function=shutil.copyfile, ignore=ignored)
    else:
        shutil.copyfile(path, copy)


if __name__ == "__main__":
    sys.exit(main())
