#!/usr/bin/env python3
"""Collects the wheels for a device without network: ``install.sh --wheels DIR`` takes the folder.

    python3 deploy/download_wheels.py --python 3.11 --machine aarch64 wheels/

What it gets stands in requirements.txt, each file by its hash; the wheel of this checkout it builds itself. SHA256SUMS
in the folder says what the folder has to be on the device. Runs wherever Python has pip; needs none of this project's
packages.
"""

from __future__ import annotations

import argparse
import configparser
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pip._vendor.packaging.markers import Marker  # not installed by itself everywhere

_HERE = Path(__file__).resolve().parent
_PARTS = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "runtime", "models", "converters")
_GLIBC = ("2_36", "2_34", "2_31", "2_28", "2_27", "2_17")  # Debian 12 has 2.36


def main() -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="gets the wheels; made if it does not exist")
    parser.add_argument("--python", default="3.11", metavar="X.Y", help="of the device (3.11, as in Debian 12)")
    parser.add_argument("--machine", default="aarch64", choices=("aarch64", "x86_64"), help="of the device (aarch64)")
    options = parser.parse_args()
    if options.folder.exists() and any(options.folder.iterdir()):
        parser.error(f"{options.folder} is not empty: old wheels in it would be installed, so name a new folder")
    if not (_HERE.parent / "setup.cfg").is_file():
        parser.error(f"{_HERE} is not in a checkout of stn-rectify, whose wheel belongs into the folder")
    options.folder.mkdir(parents=True, exist_ok=True)
    build_wheel(options.folder)
    with tempfile.TemporaryDirectory() as scratch:
        wanted = Path(scratch) / "requirements.txt"
        lines = requirements((_HERE / "requirements.txt").read_text(), options.python, options.machine)
        wanted.write_text("\n".join(lines) + "\n")
        _pip("download", "--no-deps", "--require-hashes", "-r", wanted, "-d", options.folder, "--only-binary=:all:",
             "--implementation", "cp", "--python-version", options.python,
             *(f"--platform=manylinux_{version}_{options.machine}" for version in _GLIBC),
             f"--platform=manylinux2014_{options.machine}")  # fmt: skip
    wheels = sorted(options.folder.glob("*.whl"))
    sums = (f"{hashlib.sha256(wheel.read_bytes()).hexdigest()}  {wheel.name}\n" for wheel in wheels)
    (options.folder / "SHA256SUMS").write_text("".join(sums))
    print(f"{len(wheels)} wheels in {options.folder}; on the device: sudo deploy/install.sh --wheels {options.folder}")
    return 0


def build_wheel(folder: Path) -> None:
    """Makes the wheel of this checkout, of a copy: a build in the checkout takes files of earlier builds from it.

    Args:
        folder: gets the wheel.
    """
    with tempfile.TemporaryDirectory() as scratch:
        copy_source(Path(scratch))
        _pip("wheel", "--no-deps", "-w", folder, scratch)


def copy_source(folder: Path) -> None:
    """Copies what a wheel of this checkout is made of.

    Args:
        folder: gets it; it exists.
    """
    settings = configparser.ConfigParser()
    settings.read(_HERE.parent / "setup.cfg")
    data_files = [name for names in dict(settings["options.data_files"]).values() for name in names.split()]
    for part in (*_PARTS, *data_files):
        path, target = _HERE.parent / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if path.is_dir() else shutil.copy)(path, target)


def requirements(text: str, python: str, machine: str) -> Iterator[str]:
    """The lines of requirements.txt that a device needs, without their markers, which pip would take for this machine.

    Args:
        text: of the file.
        python: the device's version, such as ``"3.11"``.
        machine: the device's processor, such as ``"aarch64"``.
    """
    device = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }
    for entry in text.replace("\\\n", " ").splitlines():
        pinned, _, rest = entry.partition(" ; ")
        if rest and not entry.startswith("#"):
            marker, *hashes = rest.split("--hash=")
            if Marker(marker).evaluate(device):
                yield " ".join([pinned, *(f"--hash={one.strip()}" for one in hashes)])


def _pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", *map(str, arguments), "--disable-pip-version-check", "--quiet"]
    if subprocess.run(command, check=False).returncode:
        sys.exit("download_wheels.py: error: pip failed, see above")


if __name__ == "__main__":
    sys.exit(main())
