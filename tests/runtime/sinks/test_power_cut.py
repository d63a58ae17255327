"""A power cut: what a disk holds at that moment, mounted again. Needs root, for a disk in a file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from tests.waiting import wait_for

# Pictures as fast as they go, until it is killed.
_PROGRAM = """
import sys
import numpy as np
from stn_rectify.runtime import CapturedFrame, Rectification, SaveSink
noise = np.random.default_rng(0)
with SaveSink(sys.argv[1], commit_s=float(sys.argv[2])) as sink:
    for index in range(10**9):
        frame = CapturedFrame("camera", index, 0.0, noise.integers(0, 256, (48, 64, 3), np.uint8))
        corners = np.array([[1.0, 1.0], [9.0, 1.0], [9.0, 6.0], [1.0, 6.0]])
        sink.write(frame, Rectification(frame.image, corners, np.eye(3), 0.9, 1.5))
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """The folder of an ext4 disk of 64 MB, whose file beside it is ``disk.img``."""
    folder, image = tmp_path / "disk", tmp_path / "disk.img"
    folder.mkdir()
    with open(image, "wb") as file:
        file.truncate(64_000_000)
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("a disk in a file needs root and mkfs.ext4")
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, folder], check=False).returncode:
        pytest.skip("nothing may be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def cut_power(disk: Path, saved: Path, commit_s: float, *, after_s: float) -> Path:
    """Kills a run that saves pictures, some seconds after the first ones; gives what the disk holds then, in a file."""
    process = subprocess.Popen([sys.executable, "-c", _PROGRAM, saved, str(commit_s)])
    try:
        wait_for("pictures", lambda: saved.exists() and len(list(saved.glob("*.png"))) > 20)
        time.sleep(after_s)
    finally:
        process.kill()
        left = disk.with_name("cut.img")
        shutil.copyfile(disk.with_name("disk.img"), left)
        process.wait()
    return left


@pytest.mark.parametrize("commit_s", [0.0, 0.3])
def test_no_picture_is_half_written_under_its_name(disk: Path, tmp_path: Path, commit_s: float) -> None:
    after = tmp_path / "after"
    after.mkdir()
    pictures = 0
    for cut in range(3):
        saved = disk / f"saved{cut}"
        left = cut_power(disk, saved, commit_s, after_s=0.1 * cut)
        subprocess.run(["mount", "-o", "loop", left, after], check=True)
        try:
            for picture in (after / saved.name).glob("[!.]*"):
                pictures += 1
                assert cv2.imread(str(picture)) is not None, f"{picture.name}: {picture.stat().st_size} bytes"
        finally:
            subprocess.run(["umount", "-l", after], check=True)
    assert pictures > 60
