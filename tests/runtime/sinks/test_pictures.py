from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import CapturedFrame, Rectification, SaveSink, StnRectifyError, UsageError
from stn_rectify.runtime.command.cli import main
from stn_rectify.runtime.sinks import Pace
from stn_rectify.runtime.sinks.result_sink import OutputError

START = datetime(2026, 11, 22, 23, 8, 41, tzinfo=timezone.utc).timestamp()


def captured(index: int, seconds: float = 0.0, *, position_s: float | None = None) -> CapturedFrame:
    return CapturedFrame("/dev/video0", index, START + seconds, np.zeros((8, 12, 3), np.uint8), position_s)


def result(level: int = 0) -> Rectification:
    corners = np.array([[1.0, 1.0], [9.0, 1.0], [9.0, 6.0], [1.0, 6.0]])
    return Rectification(np.full((6, 8, 3), level, np.uint8), corners, np.eye(3), 0.9, 1.5)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_dated_pictures_of_two_runs_stand_side_by_side(tmp_path: Path) -> None:
    for run_start in (0.0, 3600.123):
        with SaveSink(tmp_path, dated=True) as sink:
            sink.write(captured(0, run_start), result())
    assert names(tmp_path) == [
        "video0-20261122T230841.000Z.overview.jpg",
        "video0-20261122T230841.000Z.rectified.png",
        "video0-20261123T000841.123Z.overview.jpg",
        "video0-20261123T000841.123Z.rectified.png",
    ]


def test_frames_of_one_millisecond_have_pictures_of_their_own(tmp_path: Path) -> None:
    with SaveSink(tmp_path, dated=True) as sink:
        for index in range(3):
            sink.write(captured(index, 0.0), result(index))
        sink.save(captured(2, 0.0), result(9))
        sink.write(captured(3, -3600.0), result(3))  # the clock was set
    times = ["220841.000", "230841.000", "230841.001", "230841.002"]
    assert [name[16:26] for name in names(tmp_path)[1::2]] == times
    assert [int(cv2.imread(str(tmp_path / name)).max()) for name in names(tmp_path)[1::2]] == [3, 0, 1, 9]


def test_images_give_their_names_to_the_pictures(tmp_path: Path) -> None:
    still = CapturedFrame("/a/photo.jpg", 0, START, np.zeros((8, 12, 3), np.uint8), is_still=True)
    with SaveSink(tmp_path) as sink:
        sink.write(still, result())
        sink.write(replace(still, source="/a/scan.tif", index=1, page=1), result())
        sink.write(replace(still, source="/a/scan.tif", index=2, page=2), result())
        sink.write(replace(still, source="/b/photo.png", index=3), result(7))
        sink.write(replace(still, source="/c/photo", index=4), result())
    pictures = ["photo-000003", "photo-000004", "photo", "scan-page1", "scan-page2"]
    assert [name for name in names(tmp_path) if "rectified" in name] == [f"{name}.rectified.png" for name in pictures]
    assert cv2.imread(str(tmp_path / "photo-000003.rectified.png")).max() == 7
    with SaveSink(tmp_path) as sink:
        sink.write(replace(still, source="/b/photo.png", index=3), result(9))
    assert cv2.imread(str(tmp_path / "photo.rectified.png")).max() == 9, "a second run replaces them"


def test_videos_of_one_name_do_not_overwrite_one_another(tmp_path: Path) -> None:
    """Each is numbered from 0; the same one may come twice."""
    frame = CapturedFrame("/a/clip.mp4", 0, START, np.zeros((8, 12, 3), np.uint8))
    frames = [
        replace(frame, source=source, index=index) for source in ("/a/clip.mp4", "/b/clip.mp4") for index in (0, 1)
    ]
    frames += [replace(frame, source="/b/clip.mp4", index=0), replace(frame, source="/c/clip-2.mp4", index=0)]
    frames += [
        replace(frame, source=f"/{folder}/clip.jpg", index=index, is_still=True) for index, folder in enumerate("de")
    ]
    with SaveSink(tmp_path) as sink:
        for level, one in enumerate(frames):
            sink.write(one, result(level))
        sink.save(frames[-3], result(len(frames)))  # by hand, once more
    stems = ["clip-000000", "clip-000001", "clip-2-000000", "clip-2-000001", "clip-3-000000", "clip-2-2-000000", "clip"]
    written = {path.name: int(cv2.imread(str(path)).max()) for path in tmp_path.glob("*.rectified.png")}
    levels = {f"{stem}.rectified.png": level for level, stem in enumerate([*stems, "clip-4-000001"])}
    assert written == {**levels, "clip-2-2-000000.rectified.png": len(frames)}


def test_another_video_begins_at_0_again(tmp_path: Path) -> None:
    with SaveSink(tmp_path, pace=Pace(interval_s=5)) as sink:
        for index, position_s in enumerate([0.0, 1.0, 6.0, 0.0, 1.0]):
            sink.write(captured(index, position_s=position_s), result())
    assert [int(name[7:13]) for name in names(tmp_path)[::2]] == [0, 2, 3]


def test_jpeg(tmp_path: Path) -> None:
    with SaveSink(tmp_path, picture_format="jpg") as sink:
        sink.write(captured(3), result(99))
    assert (tmp_path / "video0-000003.rectified.jpg").read_bytes().startswith(b"\xff\xd8")
    assert abs(int(cv2.imread(str(tmp_path / "video0-000003.rectified.jpg")).mean()) - 99) <= 1


def test_every_third_result(tmp_path: Path) -> None:
    with SaveSink(tmp_path, pace=Pace(every=3)) as sink:
        for index in range(7):
            sink.write(captured(index), result())
    assert [name[7:13] for name in names(tmp_path)[::2]] == ["000000", "000003", "000006"]


def test_an_interval_is_the_videos_time(tmp_path: Path) -> None:
    with SaveSink(tmp_path, pace=Pace(interval_s=0.5)) as sink:
        for index in range(30):
            sink.write(captured(index, position_s=index / 10), result())
    assert [int(name[7:13]) for name in names(tmp_path)[::2]] == [0, 5, 10, 15, 20, 25]


def test_an_interval_of_a_camera_is_real_time(tmp_path: Path) -> None:
    with SaveSink(tmp_path, pace=Pace(interval_s=3600)) as sink:
        for index in range(30):
            sink.write(captured(index, seconds=7200.0 * index), result())  # the clock was set
    assert len(names(tmp_path)) == 2


def test_thousands_of_pictures_stay_below_the_limit_and_the_oldest_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = ["holiday.png", "video0-000001.rectified.png", "x-20261122T230841.000Z.png", "readme.rectified.png"]
    for name in foreign:
        (tmp_path / name).write_bytes(bytes(100_000))
    with SaveSink(tmp_path, dated=True, commit_s=60) as sink:  # an earlier run, without a limit
        for index in range(300):
            sink.write(captured(index, index - 1000), result())
    with SaveSink(tmp_path, dated=True, limit_bytes=400 * 4096, commit_s=60) as sink:
        monkeypatch.setattr(os, "scandir", None)  # the folder is read once
        for index in range(2000):
            sink.write(captured(index, index), result())
            if index == 50:
                sink.commit()
                kept = set(names(tmp_path)) - set(foreign)
                assert len(kept) == 400
                assert f"video0-{'20261122T225201.000Z'}.rectified.png" not in kept  # the oldest of the earlier run
                assert "video0-20261122T225700.000Z.rectified.png" in kept  # its newest
    own = [name for name in names(tmp_path) if name not in foreign]
    assert len(own) == 400
    assert own[0] == "video0-20261122T233841.000Z.overview.jpg"  # 1800 s after the start: the last 200 pairs
    assert set(foreign) < set(names(tmp_path))


def test_a_picture_saved_twice_counts_once(tmp_path: Path) -> None:
    """As one does that was also asked for by hand."""
    with SaveSink(tmp_path, dated=True, limit_bytes=4 * 4096) as sink:
        for index in (0, 1, 1, 1):
            sink.save(captured(index, index), result(index))
        assert len(names(tmp_path)) == 4
        sink.save(captured(2, 2), result())
    assert [name[7:26] for name in names(tmp_path)[::2]] == ["20261122T230842.000", "20261122T230843.000"]


def test_somebody_else_may_remove_pictures(tmp_path: Path) -> None:
    with SaveSink(tmp_path, dated=True, limit_bytes=20 * 4096) as sink:
        for index in range(200):
            sink.write(captured(index, index), result())
            if index % 30 == 0:
                for path in tmp_path.iterdir():
                    path.unlink()
    assert len(names(tmp_path)) == 20


def test_a_folder_that_is_removed_is_made_anew_where_the_one_it_was_in_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "stick" / "pictures"
    with SaveSink(folder, dated=True, limit_bytes=20 * 4096) as sink:
        sink.write(captured(0), result())
        shutil.rmtree(folder)
        sink.write(captured(1, 1.0), result())
        assert len(names(folder)) == 2
        shutil.rmtree(folder.parent)
        with pytest.raises(StnRectifyError, match=r"cannot write .*rectified\.png: No such file or directory"):
            sink.write(captured(2, 2.0), result())
        folder.parent.mkdir()
        folder.write_bytes(b"a file in its place")
        with pytest.raises(StnRectifyError, match=r"cannot write .*rectified\.png: Not a directory"):
            sink.write(captured(3, 3.0), result())
        folder.unlink()
        for index in range(4, 50):
            sink.write(captured(index, index), result())
    assert len(names(folder)) == 20


def test_a_folder_that_is_removed_takes_those_that_wait_for_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    with SaveSink(folder, dated=True, commit_s=60) as sink:
        sink.write(captured(0), result())
        shutil.rmtree(folder)
        sink.write(captured(1, 1.0), result())
        with pytest.raises(OutputError) as raised:
            sink.commit()
        assert (raised.value.lost, raised.value.may_pass, sink.saved) == (2, True, 0)
        sink.write(captured(2, 2.0), result())
    assert len(names(folder)) == 2


def test_what_a_power_cut_left_is_removed_in_its_turn(tmp_path: Path) -> None:
    left = tmp_path / ".video0-20251122T230841.000Z.rectified.png.partial"
    left.write_bytes(b"half")
    with SaveSink(tmp_path, dated=True, limit_bytes=2 * 4096) as sink:
        sink.write(captured(0), result())
    assert not left.exists()
    assert len(names(tmp_path)) == 2


def test_what_was_just_saved_stays_even_if_the_limit_is_too_small(tmp_path: Path) -> None:
    with SaveSink(tmp_path, dated=True, limit_bytes=1) as sink:
        sink.write(captured(0), result())
    assert names(tmp_path) == ["video0-20261122T230841.000Z.overview.jpg"]


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("")
    with pytest.raises(UsageError, match=r"clip\.mp4 is a file: name a folder"):
        SaveSink(tmp_path / "clip.mp4", dated=True, limit_bytes=10**6)


def test_the_options(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["--demo", "--model", "fast", "--save", str(out), "--save-format", "jpg"]
    assert main([*words, "--save-every", "2", "--save-interval", "0.5"]) == 0
    assert names(out) == ["demo.overview.jpg", "demo.rectified.jpg"]
    assert main([*words, "--save-limit", "1M"]) == 0
    assert len([name for name in names(out) if "Z." in name]) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--save-every", "2"], "--save-every needs --save"),
        (["--save-limit", "1G"], "--save-limit needs --save"),
        (["--mqtt-interval", "0"], "--mqtt-interval needs --mqtt"),
        (["--save", "out", "--save-limit", "500"], "'500' is not a size from 1M, such as 500M or 2G"),
        (["--save", "out", "--save-limit", "infG"], "is not a size from 1M"),
        (["--save", "out", "--save-interval", "-1"], "'-1' is not a number of seconds from 0"),
        (["--save", "out", "--save-format", "bmp"], "invalid choice: 'bmp'"),
    ],
)
def test_wrong_options_are_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STN_RECTIFY_MQTT", raising=False)
    try:
        status: object = main(["--demo", *words])
    except SystemExit as ended:
        status = ended.code
    lines = capsys.readouterr().err.splitlines()
    assert (status, len(lines)) == (2, 1)
    assert message in lines[0]
