"""Names of videos, and what runs that were cut off have left of them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from stn_rectify.runtime import StnRectifyError, UsageError
from stn_rectify.runtime.sinks import VideoSink, video
from stn_rectify.runtime.sinks.video_file import VideoFile, count_frames, salvage
from tests.runtime.sinks.test_video import captured, frames, result, small_files, write_noise

__all__ = ["small_files"]  # a fixture


def cut_off(path: Path, count: int = 60) -> bytes:
    """What is on the disk of a video before it is ended."""
    content: list[bytes] = []
    write_noise(
        path, count, end=lambda: content.append(path.with_name(f"{path.stem}.partial{path.suffix}").read_bytes())
    )
    path.unlink()
    return content[0]


@pytest.mark.parametrize("suffix", [".avi", ".mkv"])
def test_what_a_killed_run_left_is_recovered(tmp_path: Path, suffix: str) -> None:
    said: list[str] = []
    path = tmp_path / f"out{suffix}"
    path.with_name(f"out.partial{suffix}").write_bytes(cut_off(path))
    with VideoSink(path, report=said.append) as sink:
        sink.write(captured(0), result())
    recovered = tmp_path / f"out.recovered{suffix}"
    assert said == [f"{path} of a run that was cut off is {recovered} now"]
    assert sorted(tmp_path.iterdir()) == sorted([path, recovered])
    assert len(frames(recovered)) > 10
    assert len(frames(path)) == 1


def test_recovered_videos_replace_nothing(tmp_path: Path) -> None:
    content = cut_off(tmp_path / "out.avi")
    for _ in range(3):
        (tmp_path / "out.partial.avi").write_bytes(content)
        salvage(str(tmp_path / "out.avi"))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["out.recovered-2.avi", "out.recovered-3.avi", "out.recovered.avi"]


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_what_shows_nothing_is_removed_with_a_line(tmp_path: Path, suffix: str) -> None:
    said: list[str] = []
    path = tmp_path / f"out{suffix}"
    partial = path.with_name(f"out.partial{suffix}")
    partial.write_bytes(cut_off(path))
    (tmp_path / f"out-2.partial{suffix}").touch()
    salvage(str(path), said.append)
    assert said == [f"{partial} of a run that was cut off is removed: nothing in it can be watched"]
    assert not list(tmp_path.iterdir())


def test_orphans_of_dated_names_are_found_and_foreign_files_stay(tmp_path: Path) -> None:
    content = cut_off(tmp_path / "x.avi")
    mine = ["2026/v-20261129-120000.partial.avi", "2025/v-20251129-120000-2.partial.avi"]
    foreign = ["2026/w-20261129.partial.avi", "2026/v-20261129.partial.mkv", "2026/v-1.avi", "v-1.partial.avi"]
    for name in (*mine, *foreign):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    salvage(str(tmp_path / "%Y" / "v-%Y%m%d-%H%M%S.avi"))
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")}
    assert left == {*(name.replace("partial", "recovered") for name in mine), *foreign}


@pytest.mark.parametrize("name", ["a%d.avi", "a[b].avi", "a*.avi", "a+(b).avi"])
def test_a_name_with_signs_of_patterns_means_itself(tmp_path: Path, name: str) -> None:
    (tmp_path / "ab.partial.avi").write_bytes(b"another one")
    with VideoSink(tmp_path / name) as sink:
        sink.write(captured(0), result())
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["ab.partial.avi", name])


def test_what_another_run_writes_is_not_left_over(tmp_path: Path) -> None:
    path = tmp_path / "out.avi"
    with VideoFile(path, numbered=False) as file:
        shutil.copyfile(__file__, file.partial)
        salvage(str(path))
        assert file.partial.exists()
        with pytest.raises(UsageError, match=r"out\.partial\.avi is being written by another run: choose another name"):
            VideoSink(path)
        with VideoFile(path, numbered=True) as other:
            assert other.path.name == "out-2.avi"


def test_a_lock_is_one_of_the_process_that_is_killed(tmp_path: Path) -> None:
    code = "import os, sys; from pathlib import Path; from stn_rectify.runtime.sinks.video_file import VideoFile\n"
    code += "VideoFile(Path(sys.argv[1]), numbered=False).partial.write_bytes(b'x'); os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "out.avi")], check=False)
    assert done.returncode == -signal.SIGKILL
    with VideoFile(tmp_path / "out.avi", numbered=False) as file:
        assert file.partial.stat().st_size == 0


def test_a_name_that_is_taken_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "out.avi"
    with VideoSink(path) as sink:
        sink.write(captured(0), result())
        path.write_bytes(b"mine")
    assert path.read_bytes() == b"mine"
    assert len(frames(tmp_path / "out-2.avi")) == 1


@pytest.mark.parametrize("suffix", video.VIDEO_SUFFIXES)
@pytest.mark.parametrize("count", [1, 3, 210])
def test_frames_are_counted_and_a_cut_video_has_none(tmp_path: Path, suffix: str, count: int) -> None:
    path = tmp_path / f"out{suffix}"
    with VideoSink(path) as sink:
        for index in range(count):
            sink.write(captured(index), result())
    assert count_frames(path) == pytest.approx(count, abs=count // 100)
    with open(path, "rb+") as file:
        file.truncate(path.stat().st_size * 2 // 3)
    assert count_frames(path) == 0


@pytest.mark.usefixtures("small_files")
def test_a_numbered_video_at_its_size_limit_goes_on_in_the_next_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "_RESERVE_BYTES", 1_000_000)
    write_noise(tmp_path / "out.mkv", 270, numbered=True)
    parts = sorted(tmp_path.iterdir())
    assert [path.name for path in parts] == ["out-2.mkv", "out-3.mkv", "out.mkv"]
    assert sum(len(frames(path)) for path in parts) == 270


def test_a_video_without_a_picture_gets_no_name_where_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "_RESERVE_BYTES", 1 << 60)
    sink = VideoSink(tmp_path / "out.mkv")
    for index in range(3):
        with pytest.raises(StnRectifyError, match="No space left on device"):
            sink.write(captured(index), result())
    sink.close()
    assert not os.listdir(tmp_path)


def test_after_a_full_disk_the_next_picture_begins_another_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(tmp_path).free
    with VideoSink(tmp_path / "out.mkv", numbered=True) as sink:
        for index in range(10):
            sink.write(captured(index), result())
        monkeypatch.setattr(video, "_RESERVE_BYTES", 10 * free)
        with pytest.raises(StnRectifyError, match="No space left on device"):
            sink.write(captured(10), result())
        assert len(frames(tmp_path / "out.mkv")) == 10  # ended already
        with pytest.raises(StnRectifyError, match="No space left on device"):
            sink.write(captured(11), result())
        monkeypatch.undo()
        sink.write(captured(12), result())
    assert len(frames(tmp_path / "out-2.mkv")) == 1
    assert sorted(os.listdir(tmp_path)) == ["out-2.mkv", "out.mkv"]


def test_a_cut_video_is_what_opencv_would_show_in_part(tmp_path: Path) -> None:
    """Why names of complete videos are kept for them: players show a part without a word."""
    path = tmp_path / "out.partial.mkv"
    path.write_bytes(cut_off(tmp_path / "out.mkv"))
    assert cv2.VideoCapture(str(path)).grab()
    assert count_frames(path) == 0
