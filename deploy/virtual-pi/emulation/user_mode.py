"""Programs of the root file system, run one by one: the same bits as on the core, and how many instructions.

No chroot, so no root: QEMU looks for libraries below the root first (its ``-L``); all else is this machine's, under its
own name.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from emulation.place import CHECKOUT, CORES, HERE, Place, VirtualPiError

_PYTHON = "usr/bin/python3.11"
_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_CPUS = "0-3\n"


@dataclass(frozen=True)
class Mark:
    """What the counter told at a mark: its number (-1: the end), instructions so far, int8 dot products among them."""

    number: int
    instructions: int
    dot_products: int


def run(place: Place, core: str, words: list[str], *, litert: bool = False, counts: Path | None = None) -> int:
    """Runs Python on an emulated core, with the package of this checkout as it is now.

    Args:
        place: where the root file system is.
        core: a key of `CORES`.
        words: Python's arguments: a script and its own, or ``-m``, or ``-c``.
        litert: ai-edge-litert in place of tflite-runtime.
        counts: a file for the counter's lines; with it there is one thread.

    Returns:
        Python's status.

    Raises:
        VirtualPiError: if something is missing.
    """
    place.need("run" if counts is None else "count")
    place.need_setup()
    cpu, part, variant, revision, features = CORES[core]
    fake = place.folder / f"as-{core}"
    _pretend(place.root, fake, part, variant, revision, features)
    command = ["qemu-aarch64", "-cpu", cpu, "-L", str(fake)]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        "QEMU_CPU": cpu,
        "QEMU_LD_PREFIX": str(fake),
        "PYTHONHOME": str(place.root / "usr"),
        "PYTHONPATH": os.pathsep.join(
            map(str, [CHECKOUT / ".typecheck", *([place.litert] if litert else []), place.site])
        ),
    }
    if counts is None:
        _register()
    else:
        _build(place)
        command += ["-plugin", f"file={place.counter},out={counts}"]
        environment.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    command += [str(place.root / _PYTHON), *words]
    return subprocess.run(command, env=environment, check=False).returncode


def count(place: Place, core: str, words: list[str], *, litert: bool = False) -> tuple[int, list[Mark]]:
    """Runs Python on an emulated core, and counts the instructions between the marks that the script makes.

    Args and Raises: as of `run`.

    Returns:
        Python's status, and the marks in the order of time.
    """
    with tempfile.TemporaryDirectory() as scratch:
        told = Path(scratch) / "marks"
        status = run(place, core, words, litert=litert, counts=told)
        lines = told.read_text().splitlines() if told.exists() else []
    return status, [Mark(*map(int, line.split()[1:])) for line in lines]


def _pretend(root: Path, fake: Path, part: str, variant: str, revision: str, features: str) -> None:
    """What is looked for first: the root's libraries, and what an interpreter asks of the core in /proc and /sys.

    Without that it leaves XNNPACK out. No other links: a program that resolves its own path would lose its way.
    """
    links = {"usr/lib": root / "usr/lib", "etc/ld.so.cache": root / "etc/ld.so.cache", "lib": Path("usr/lib")}
    for name, target in links.items():
        (fake / name).parent.mkdir(parents=True, exist_ok=True)
        if not (fake / name).is_symlink():
            (fake / name).symlink_to(target)
    lines = (
        f"processor\t: {number}\nBogoMIPS\t: 108.00\nFeatures\t: {features}\nCPU implementer\t: 0x41\n"
        f"CPU architecture: 8\nCPU variant\t: {variant}\nCPU part\t: {part}\nCPU revision\t: {revision}\n\n"
        for number in range(4)
    )
    files = {"proc/cpuinfo": "".join(lines)}
    files.update({f"sys/devices/system/cpu/{name}": _CPUS for name in ("possible", "present", "online")})
    for name, text in files.items():
        (fake / name).parent.mkdir(parents=True, exist_ok=True)
        (fake / name).write_text(text)


def _register() -> None:
    """Lets programs that the program starts run, too: only root can, and it holds until this machine restarts."""
    entry = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")
    if (_BINFMT / "qemu-aarch64").exists() or not entry.exists() or os.geteuid() != 0:
        return
    try:
        (_BINFMT / "register").write_text(entry.read_text())
    except OSError:
        return  # none here: they do not run, and say so


def _build(place: Place) -> None:
    source = HERE / "count_at_marks.c"
    if place.counter.exists() and place.counter.stat().st_mtime >= source.stat().st_mtime:
        return
    command = ["gcc", "-O2", "-Wall", "-shared", "-fPIC", "-o", str(place.counter), str(source)]
    if subprocess.run(command, check=False).returncode:
        raise VirtualPiError(f"gcc could not build {source}, see above")
