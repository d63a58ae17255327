"""Where everything is, and what has to be there before something can be done."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parents[1]

#: Cores by the names of the machines that have them: what QEMU calls them, and what /proc/cpuinfo says of them.
CORES = {
    "pi3": ("cortex-a53", "0xd03", "0x0", "4", "fp asimd evtstrm crc32 cpuid"),
    "pi4": ("cortex-a72", "0xd08", "0x0", "3", "fp asimd evtstrm crc32 cpuid"),
    "pi5": (
        "cortex-a76", "0xd0b", "0x4", "1",
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    ),
}  # fmt: skip

_PACKAGES = {  # program, or file, and the Debian package that has it
    "setup": {
        "/usr/lib/apt/apt-helper": "apt",
        "dpkg-deb": "dpkg",
        "mke2fs": "e2fsprogs",
        "depmod": "kmod",
        "cpio": "cpio",
        "gzip": "gzip",
    },
    "run": {"qemu-aarch64": "qemu-user"},
    "count": {"qemu-aarch64": "qemu-user", "gcc": "gcc libc6-dev"},
    "vm": {"qemu-system-aarch64": "qemu-system-arm"},
    "camera-faults": {"qemu-system-aarch64": "qemu-system-arm"},
    "installation": {"qemu-system-aarch64": "qemu-system-arm"},
    "power-cuts": {"qemu-system-aarch64": "qemu-system-arm", "qemu-img": "qemu-utils"},
}
_ROOT = {"setup": "for the owners in the file system", "power-cuts": "to mount what the disk holds"}


class VirtualPiError(Exception):
    """Something is missing or does not work; the message says what, and what to do."""


class Place:
    """The folder that holds what was downloaded and made: 1.3 GB, to be deleted at will.

    Args:
        folder: the folder; `STN_RECTIFY_VIRTUAL_PI`, or ~/.cache/stn-rectify-virtual-pi, if None.
    """

    def __init__(self, folder: Path | None = None) -> None:
        named = os.environ.get("STN_RECTIFY_VIRTUAL_PI") or Path.home() / ".cache" / "stn-rectify-virtual-pi"
        self.folder = Path(folder or named).resolve()
        self.packages = self.folder / "packages"
        self.wheels = self.folder / "wheels"
        self.root = self.folder / "root"
        self.image = self.folder / "root.ext4"
        self.kernel = self.folder / "vmlinuz"
        self.initrd = self.folder / "initrd.gz"
        self.counter = self.folder / "count_at_marks.so"
        self.version = self.root / "opt" / "stn-rectify" / "versions" / "virtual"
        self.site = self.version / "lib" / "python3.11" / "site-packages"
        self.litert = self.root / "opt" / "litert"

    def need(self, command: str) -> None:
        """Looks whether a command's programs are there, and whether root asks where it needs root.

        Raises:
            VirtualPiError: if not, with the line that installs them.
        """
        missing = {package for program, package in _PACKAGES[command].items() if _find(program) is None}
        if missing:
            raise VirtualPiError(f"missing: apt-get install --no-install-recommends {' '.join(sorted(missing))}")
        if command in _ROOT and os.geteuid() != 0:
            raise VirtualPiError(f"{command} needs root, {_ROOT[command]}")

    def need_setup(self, *files: Path) -> None:
        """Looks whether `setup` has made everything.

        Raises:
            VirtualPiError: if not.
        """
        for file in files or (self.site,):
            if not file.exists():
                raise VirtualPiError(f"{file} is missing: run {HERE / 'virtual_pi.py'} setup")


def _find(program: str) -> str | None:
    if program.startswith("/"):
        return program if Path(program).exists() else None
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
