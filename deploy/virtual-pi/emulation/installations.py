"""The wheels of an installation in a whole machine: of this checkout, of a newer version, of one that is broken.

The versions beside this checkout's are its own wheel under another number, the broken one without its model files.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from emulation.place import CHECKOUT, Place, VirtualPiError

_NAME = "stn_rectify-"
_NUMBERS = {"newer": "1", "broken": "2"}  # added to the last number of the version


def lay_out(place: Place, folder: Path) -> None:
    """Makes ``wheels``, ``newer`` and ``broken`` in a folder, each as download_wheels.py leaves one.

    Args:
        place: where the wheels of a set-up are.
        folder: on the same file system, since files are linked.

    Raises:
        VirtualPiError: if the wheel of this checkout cannot be built.
    """
    for kind in ("wheels", *_NUMBERS):
        (folder / kind).mkdir()
        for wheel in place.wheels.glob("*.whl"):
            if not wheel.name.startswith(_NAME):
                os.link(wheel, folder / kind / wheel.name)
    built = [sys.executable, CHECKOUT / "deploy" / "build_wheel.py", folder / "wheels"]
    if subprocess.run(built, check=False).returncode:
        raise VirtualPiError("the wheel of this checkout could not be built, see above")
    (own,) = (folder / "wheels").glob(f"{_NAME}*.whl")
    version = own.name.split("-")[1]
    for kind, more in _NUMBERS.items():
        first, _, last = version.rpartition(".")
        other = f"{first}.{int(last) + int(more)}"
        _renumber(
            own, folder / kind / own.name.replace(version, other), version, other, without_models=kind == "broken"
        )
    for kind in ("wheels", *_NUMBERS):
        wheels = sorted((folder / kind).glob("*.whl"))
        sums = (f"{hashlib.sha256(wheel.read_bytes()).hexdigest()}  {wheel.name}\n" for wheel in wheels)
        (folder / kind / "SHA256SUMS").write_text("".join(sums))


def _renumber(wheel: Path, other: Path, old: str, new: str, *, without_models: bool) -> None:
    """Writes a wheel anew under another version."""
    folders = (f"{_NAME}{old}.dist-info", f"{_NAME}{new}.dist-info")
    with zipfile.ZipFile(wheel) as held, zipfile.ZipFile(other, "w", zipfile.ZIP_DEFLATED) as made:
        for entry in held.infolist():
            content = held.read(entry)
            name = entry.filename.replace(*folders)
            if without_models and name.endswith(".tflite"):
                continue
            if name.startswith(folders[1]):
                content = content.replace(folders[0].encode(), folders[1].encode())
                content = content.replace(f"\nVersion: {old}\n".encode(), f"\nVersion: {new}\n".encode())
            made.writestr(name, content)
