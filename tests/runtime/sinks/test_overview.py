"""What stands in the pictures beside the outline: score, label, source, number and rate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stn_rectify.runtime import CapturedFrame, Rectification, draw_overview, drawing
from stn_rectify.runtime.sinks import VideoSink, overview
from stn_rectify.runtime.sinks.overview import Captions

FRAME = np.full((240, 320, 3), 90, np.uint8)
CORNERS = np.array([[100.0, 90.0], [220.0, 95.0], [210.0, 160.0], [105.0, 150.0]])


def result(score: float = 0.9, label: str | None = None, corners: np.ndarray = CORNERS) -> Rectification:
    return Rectification(np.zeros((40, 60, 3), np.uint8), corners, np.eye(3), score, 1.0, label)


def captured(source: str, index: int = 0, page: int | None = None, *, is_still: bool = False) -> CapturedFrame:
    return CapturedFrame(source, index, 1700000000.0, FRAME, page=page, is_still=is_still)


def rows_that_differ(one: np.ndarray, other: np.ndarray) -> range:
    rows = np.flatnonzero((one != other).any(axis=(1, 2)))
    return range(int(rows[0]), int(rows[-1]) + 1) if len(rows) else range(0)


@pytest.mark.parametrize(
    ("moved_by", "above"), [(0, True), (-90, False)], ids=["above the target", "below it at the upper edge"]
)
def test_score_and_label_stand_beside_the_outline(moved_by: int, above: bool) -> None:
    corners = CORNERS + np.array([0, moved_by])
    plain, labelled = (draw_overview(FRAME, result(0.9, label, corners)) for label in (None, "AB12"))
    rows = rows_that_differ(plain, labelled)
    assert len(rows) >= 6, "letters"
    assert (rows[-1] < corners[:, 1].min()) if above else (rows[0] > corners[:, 1].max())
    assert (draw_overview(FRAME, result(0.91)) != draw_overview(FRAME, result(0.97))).any()


def test_a_label_of_several_lines_is_one_line() -> None:
    lines = draw_overview(FRAME, result(label="AB\n\n 12 "))
    np.testing.assert_array_equal(lines, draw_overview(FRAME, result(label="AB / 12")))


def test_a_caption_stands_below_and_long_ones_are_cut() -> None:
    plain = draw_overview(FRAME, result())
    for caption in ("clip.mp4 frame 7", "x" * 500):
        captioned = draw_overview(FRAME, result(), caption=caption)
        assert captioned.shape == plain.shape
        assert rows_that_differ(plain, captioned).start > 200


def test_small_pictures_get_no_words() -> None:
    small = np.full((40, 60, 3), 90, np.uint8)
    assert (draw_overview(small, result(), caption="clip") == draw_overview(small, result(label="AB12"))).all()


def test_letters_that_no_typeface_has_are_written_as_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "_TYPEFACES", ("no-such-typeface.ttf",))
    drawing._typeface.cache_clear()
    try:
        accented, plain = (draw_overview(FRAME, result(label=label)) for label in ("Café", "Cafe"))
    finally:
        drawing._typeface.cache_clear()
    np.testing.assert_array_equal(accented, plain)


def test_images_are_named_and_their_pages() -> None:
    captions = Captions()
    assert captions.caption(captured("/data/photo.jpg", is_still=True)) == "photo.jpg"
    assert captions.caption(captured("/data/scan.tif", 3, page=2, is_still=True)) == "scan.tif page 2"
    assert "\x1b" not in captions.caption(captured("/data/a\x1b[2J.jpg", is_still=True))


def test_frames_are_numbered_and_the_rate_is_that_at_which_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = iter([100.0, 100.5, 101.0, 101.0 + 1e-3])
    monkeypatch.setattr(overview.time, "monotonic", lambda: next(moment))
    captions = Captions()
    said = [captions.caption(captured("/dev/video0", index)) for index in (0, 4, 5, 6)]
    assert said == [
        "video0 frame 0",
        "video0 frame 4, 2.0 fps",
        "video0 frame 5, 2.0 fps",
        "video0 frame 6, 3.0 fps",
    ]
    monkeypatch.undo()
    assert Captions().caption(captured("rtsp://host/1?...")) == "rtsp://host/1?... frame 0"


def test_videos_have_captions(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from stn_rectify.runtime.sinks import video

    seen: list[str] = []

    def draw(*values: object, caption: str = "") -> np.ndarray:
        seen.append(str(values[4]) if len(values) > 4 else caption)
        return draw_overview(FRAME, result())

    monkeypatch.setattr(video, "draw_overview", draw)
    with VideoSink(f"{tmp_path}/out.mkv") as sink:
        sink.write(captured("clip.mp4", 7), result())
        sink.write_targets(captured("clip.mp4", 8), result(), (), replace(result()).rule)
    assert seen[0] == "clip.mp4 frame 7"
    assert seen[1].startswith("clip.mp4 frame 8, ")
