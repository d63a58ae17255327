"""A whole machine: Debian's kernel, systemd if asked for, the virtual camera as a module.

What is written to its disk is thrown away. Folders come in by 9p: ``control`` with the command and what became of it,
the checkout (read-only) as /mnt/checkout, and one of the user's choice as /mnt/host.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from emulation.place import CHECKOUT, CORES, Place, VirtualPiError


@dataclass(frozen=True)
class Settings:
    """How a machine is made.

    Attributes:
        core: a key of `CORES`.
        cores: how many it has.
        memory_mb: its memory.
        systemd: started as first process; a small script otherwise, which takes a fifth of the time.
        share: a folder that it sees as /mnt/host, and may write to.
        disks: further drives as QEMU's ``-drive`` has them: the first is /dev/vdb.
        root_disk: the drive of the root file system; the image, with what is written thrown away, if None.
        program: run in place of a command, without shared folders: only then QEMU can save a machine's state.
    """

    core: str = "pi4"
    cores: int = 2
    memory_mb: int = 2048
    systemd: bool = False
    share: Path | None = None
    disks: tuple[str, ...] = ()
    root_disk: str | None = None
    program: str | None = None


@dataclass
class Outcome:
    """What became of a command: its status, and what it wrote.

    Attributes:
        status: the command's; 124 if the limit passed, 125 if the machine ended before.
        stdout: its standard output.
        stderr: its standard error.
        console: the kernel's and systemd's messages.
        booted_s: seconds of the machine's own clock from power on to the command's begin.
        took_s: seconds of this machine from power on to the end.
    """

    status: int
    stdout: str
    stderr: str
    console: str
    booted_s: float
    took_s: float


@dataclass
class Machine:
    """A machine that runs.

    Attributes:
        control: the folder by which it is told its command, and tells what became of it.
        process: QEMU's.
    """

    control: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def console(self) -> str:
        """What its kernel and first process have said so far."""
        file = self.control.parent / "console"
        return file.read_text(errors="replace") if file.exists() else ""

    def monitor(self, command: str, timeout_s: float = 300) -> str:
        """A command to QEMU itself, such as ``savevm NAME``; gives its answer, once it has read what it starts from."""
        place = self.control.parent / "monitor"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_s)
            self.wait_for(lambda: connection.connect_ex(str(place)) == 0, timeout_s, "QEMU")
            _read_prompt(connection)
            connection.sendall(f"{command}\n".encode())
            return _read_prompt(connection)

    def wait_for(self, look: Callable[[], object], timeout_s: float, what: str) -> None:
        """Waits until ``look()`` is true.

        Raises:
            VirtualPiError: if the machine ends before, or the time passes.
        """
        deadline = time.monotonic() + timeout_s
        while not look():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise VirtualPiError(f"waited in vain for {what}; the console:\n{self.console[-2000:]}")
            time.sleep(0.05)


@contextlib.contextmanager
def started(place: Place, command: str, settings: Settings, *more: str) -> Iterator[Machine]:
    """Switches a machine on, and its power off at the end, whatever it does then.

    Args:
        place: where the image is.
        command: a shell's, run as root when the machine is up; it switches itself off afterwards.
        settings: how the machine is made.
        more: further words for QEMU.

    Raises:
        VirtualPiError: if something is missing.
    """
    place.need("vm")
    place.need_setup(place.image, place.kernel, place.initrd)
    cpu = CORES[settings.core][0]
    with tempfile.TemporaryDirectory() as scratch:
        control = Path(scratch) / "control"
        control.mkdir()
        (control / "command").write_text(f"{command}\n")
        init = "/sbin/init" if settings.systemd else "/usr/sbin/virtual-pi-plain-init"
        words = f"console=ttyAMA0 virtual_pi.init={init} panic=-1 quiet net.ifnames=0 systemd.show_status=0"
        words += " systemd.mask=serial-getty@ttyAMA0.service"  # it would wait for a terminal that there is not
        if settings.program is not None:
            words += f" virtual_pi.program={settings.program}"
        root = settings.root_disk or f"file={place.image},format=raw,snapshot=on,cache=unsafe"
        shares = [_share(control, "control"), f"{_share(CHECKOUT, 'checkout')},readonly=on"]
        if settings.share is not None:
            shares.append(_share(settings.share.resolve(), "host"))
        qemu = [
            "qemu-system-aarch64", "-M", "virt", "-cpu", cpu, "-accel", "tcg,thread=multi", "-smp", str(settings.cores),
            "-m", str(settings.memory_mb), "-display", "none", "-nic", "none", "-no-reboot",
            "-serial", f"file:{scratch}/console", "-monitor", f"unix:{scratch}/monitor,server=on,wait=off",
            "-kernel", str(place.kernel), "-initrd", str(place.initrd), "-append", words, "-device", "virtio-rng-pci",
        ]  # fmt: skip
        for drive in (root, *settings.disks):
            qemu += ["-drive", f"{drive},if=virtio"]
        for share in shares if settings.program is None else []:
            qemu += ["-virtfs", share]
        process = subprocess.Popen([*qemu, *more], stdin=subprocess.DEVNULL)
        try:
            yield Machine(control, process)
        finally:
            process.kill()
            process.wait()


def run(place: Place, command: str, settings: Settings, *, limit_s: float) -> Outcome:
    """Switches a machine on, runs a command, and switches it off.

    Args and Raises: as of `started`.
        limit_s: the longest it may take, in seconds of this machine.
    """
    began = time.monotonic()
    with started(place, command, settings) as machine:
        with contextlib.suppress(subprocess.TimeoutExpired):
            machine.process.wait(limit_s)
        is_late = machine.process.poll() is None
        told = machine.control / "status"
        status = int(told.read_text()) if told.exists() else 124 if is_late else 125
        return Outcome(
            status,
            _read(machine.control / "stdout"),
            _read(machine.control / "stderr"),
            machine.console,
            float(_read(machine.control / "began") or 0),
            time.monotonic() - began,
        )


def copy_of_image(place: Place, folder: Path) -> Path:
    """A disk in QEMU's own format that lies over the image, for a machine whose state is to be kept."""
    target = folder / "root.qcow2"
    _qemu_img("create", "-q", "-f", "qcow2", "-b", place.image, "-F", "raw", target)
    return target


def make_disk(folder: Path, size_mb: int) -> Path:
    """An empty ext4 disk in QEMU's own format."""
    raw, target = folder / "disk.raw", folder / "disk.qcow2"
    raw.write_bytes(b"")
    subprocess.run(["mke2fs", "-q", "-t", "ext4", raw, f"{size_mb}M"], check=True)
    _qemu_img("convert", "-f", "raw", "-O", "qcow2", raw, target)
    raw.unlink()
    return target


def as_raw(disk: Path, target: Path) -> Path:
    """What a disk in QEMU's own format holds, as it stands."""
    _qemu_img("convert", "-f", "qcow2", "-O", "raw", disk, target)
    return target


def _qemu_img(*words: object) -> None:
    if subprocess.run([shutil.which("qemu-img") or "qemu-img", *map(str, words)], check=False).returncode:
        raise VirtualPiError(f"qemu-img {words[0]} failed, see above")


def _share(folder: Path, tag: str) -> str:
    return f"local,path={folder},mount_tag={tag},security_model=none"


def _read(file: Path) -> str:
    return file.read_text(errors="replace") if file.exists() else ""


def _read_prompt(connection: socket.socket) -> str:
    said = b""
    while not said.endswith(b"(qemu) "):
        more = connection.recv(4096)
        if not more:
            break
        said += more
    return said.decode(errors="replace")
