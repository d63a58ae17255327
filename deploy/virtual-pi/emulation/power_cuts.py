"""Power cuts: the machine is killed while stn-rectify writes, and its disk is looked at.

A machine is started once, and its state saved when results are being written; for each cut it goes on from that state,
is killed after a random time, and what its disk holds is mounted here, as after a restart. What was not flushed is lost
with QEMU, as it is with the write cache of a card. At last a machine is started with the disk of the last cut.
"""

from __future__ import annotations

import json
import random
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from emulation import machine
from emulation.machine import Settings
from emulation.place import Place, VirtualPiError

_PROGRAM = "/usr/sbin/virtual-pi-write-until-killed"
_DISK_MB = 128
_AGAIN = (
    "modprobe vivid n_devs=1 node_types=0x1; mkdir -p /data; mount /dev/vdb /data; cd /data;"
    " stn-rectify --camera 0 --model fast --jsonl results.jsonl --save saved --save-format jpg --output video.mkv"
    " --frames 3; status=$?; ls -a /data; cd /; umount /data; exit $status"
)


@dataclass(frozen=True)
class Held:
    """What a disk held after a cut: whole lines and pictures, and whether a last line was cut off."""

    lines: int
    pictures: int
    is_cut: bool


def check(place: Place, made: Settings, *, count: int, seed: int, longest_s: float, limit_s: float) -> int:
    """Cuts the power so often, and prints a line for each cut.

    Args:
        place: where the image is.
        made: how the machine is made.
        count: how many cuts.
        seed: of their moments.
        longest_s: the latest moment, in seconds of this machine since it goes on.
        limit_s: longest time until results are written for the first time.

    Returns:
        1 if a file under its final name was not whole, or the next start failed, else 0.

    Raises:
        VirtualPiError: if something is missing, or the machine does not come to write.
    """
    place.need("power-cuts")
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory(dir=place.folder) as scratch:
        folder = Path(scratch)
        disk, root = machine.make_disk(folder, _DISK_MB), machine.copy_of_image(place, folder)
        made = replace(made, root_disk=f"file={root}", disks=(f"file={disk}",), program=_PROGRAM)
        with machine.started(place, "", made) as first:
            first.wait_for(lambda: "virtual-pi: writing" in first.console, limit_s, "results")
            said = first.monitor("savevm writing")
            if "Error" in said:
                raise VirtualPiError(f"QEMU cannot save the machine: {said}")
        raw, faults, lines, pictures = folder / "cut.raw", 0, 0, 0
        for number in range(1, count + 1):
            after_s = dice.uniform(0.5, longest_s)
            with machine.started(place, "", made, "-loadvm", "writing") as cut:
                cut.monitor("info status")  # answered as soon as it goes on
                time.sleep(after_s)
                if cut.process.poll() is not None:
                    raise VirtualPiError(f"the machine did not go on (status {cut.process.returncode})")
            machine.as_raw(disk, raw)
            try:
                held = _look(raw, folder)
            except VirtualPiError as error:
                faults += 1
                print(f"cut {number} after {after_s:.1f} s: FAILED: {error}", flush=True)
                continue
            lines, pictures = lines + held.lines, pictures + held.pictures
            rest = ", the last line cut off" if held.is_cut else ""
            print(f"cut {number} after {after_s:.1f} s: {held.lines} lines, {held.pictures} pictures{rest}", flush=True)
        print(f"{count} power cuts: {lines} lines and {pictures} pictures are whole, {faults} faults")
        again = replace(made, root_disk=None, disks=(f"file={raw},format=raw",), program=None)
        outcome = machine.run(place, _AGAIN, again, limit_s=limit_s)
        print(f"the next start (status {outcome.status}):\n{outcome.stderr}{outcome.stdout}")
        return int(faults > 0 or outcome.status != 0)


def _look(raw: Path, folder: Path) -> Held:
    """Mounts a disk, which replays its journal, and reads what is there.

    Raises:
        VirtualPiError: if a file under its final name is not whole.
    """
    try:
        import cv2
    except ImportError:
        raise VirtualPiError("power-cuts reads pictures with OpenCV: run it with the project's Python") from None
    place = folder / "mounted"
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", raw, place], check=True)
    try:
        whole, _, rest = (place / "results.jsonl").read_bytes().rpartition(b"\n")
        lines = whole.splitlines()
        for line in lines:
            try:
                json.loads(line)
            except ValueError:
                raise VirtualPiError(f"a line is no JSON: {line!r}") from None
        pictures = [path for path in (place / "saved").glob("*") if not path.name.startswith(".")]
        for path in pictures:
            if cv2.imread(str(path)) is None:
                raise VirtualPiError(f"{path.name}, {path.stat().st_size} bytes, is no picture")
        if (place / "video.mkv").exists():
            raise VirtualPiError("a video that was not ended has its final name")
        return Held(len(lines), len(pictures), bool(rest))
    finally:
        subprocess.run(["umount", place], check=True)
