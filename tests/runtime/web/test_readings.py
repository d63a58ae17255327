"""What is kept as a reading, and its picture."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import CapturedFrame, MissRule, Processed, Rectification
from stn_rectify.runtime.web import readings
from stn_rectify.runtime.web.readings import Readings
from tests.runtime.web.test_view import several_targets

CORNERS = np.array([[20, 20], [90, 24], [88, 70], [22, 68]], np.float64)


def seen(
    second: float,
    label: str | None = None,
    score: float = 0.9,
    *,
    label_score: float | None = None,
    track: int | None = None,
    shade: int = 0,
    source: str = "/dev/video0",
    page: int | None = None,
    position_s: float | None = None,
) -> Processed:
    image = np.full((40, 60, 3), shade, np.uint8)
    result = Rectification(image, CORNERS, np.eye(3), score, 3.0, label, label_score, track=track)
    frame = CapturedFrame(source, round(100 * second), 1000 + second, np.zeros((8, 8, 3), np.uint8), position_s, page)
    return Processed(frame, result, False, (result,), MissRule(0.5))


def kept(*frames: Processed) -> list[tuple[str | None, int]]:
    """Label and frames of each reading, the oldest first."""
    found = Readings()
    for done in frames:
        found.add(done)
    return [(one["label"], one["frames"]) for one in reversed(found.newest_first())]


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([seen(0, "A"), seen(0.1, "A"), seen(0.2, "A")], [("A", 3)]),
        ([seen(0, "A"), seen(0.1, "B"), seen(0.2, "B")], [("A", 1), ("B", 2)]),
        ([seen(t / 10, "AB"[t % 2]) for t in range(10)], [("A", 5), ("B", 5)]),
        ([seen(0, "A"), seen(0.6, "B"), seen(1.2, "B"), seen(1.8, "A")], [("A", 2), ("B", 2)]),
        ([seen(0, "A"), seen(0.7, "B"), seen(1.4, "B"), seen(2.1, "A")], [("A", 1), ("B", 2), ("A", 1)]),
        ([seen(0, "A"), seen(0.1, "A", 0.2), seen(0.5, "A")], [("A", 2)]),
        ([seen(0, "A"), seen(0.1, "A", 0.2), seen(3, "A")], [("A", 1), ("A", 1)]),
        ([seen(0, "A"), seen(30, "A"), seen(60, "A")], [("A", 3)]),
        ([seen(0), seen(0.1), seen(0.2, score=0.1)], [(None, 2)]),
        ([seen(0, track=1), seen(0.1, track=2), seen(0.2, track=1)], [(None, 2), (None, 1)]),
        ([seen(0, "A", track=1), seen(1.5, "A", track=2), seen(1.6, "B", track=3)], [("A", 2), ("B", 1)]),
        ([seen(0, source="a.png"), seen(0, source="b.png")], [(None, 1), (None, 1)]),
        ([seen(0, source="a.tif", page=1), seen(0.1, source="a.tif", page=2)], [(None, 1), (None, 1)]),
        ([seen(5, "A"), seen(1, "A")], [("A", 1), ("A", 1)]),
        ([seen(0, "A", position_s=0.0), seen(0.1, position_s=4, score=0), seen(0.2, "A", position_s=9.0)],
         [("A", 1), ("A", 1)]),
        ([seen(0, "A"), seen(0, "B")], [("B", 1)]),
        ([seen(0, score=0.4)], []),
    ],
    ids=[
        "the same", "another", "a flicker", "a slow flicker",
        "too slow for one", "missed for a moment", "away for longer", "seldom", "without a label",
        "two tracks", "a lost track", "two images", "two pages", "a clock set back", "a video's own time",
        "the frame again", "a miss",
    ],
)  # fmt: skip
def test_what_is_one_reading(frames: list[Processed], expected: list[tuple[str | None, int]]) -> None:
    assert kept(*frames) == expected


def test_two_targets_of_one_text_are_two_readings() -> None:
    found = Readings()
    for second in (0, 0.1, 0.2):
        first, other = seen(second, "A", track=1), seen(second, "A", track=2)
        found.add(replace(first, targets=(first.result, other.result)))
    assert [(one["label"], one["frames"]) for one in found.newest_first()] == [("A", 3), ("A", 3)]


def test_the_surest_picture_is_kept() -> None:
    found = Readings()
    for second, (score, label_score) in enumerate([(0.9, 0.5), (0.6, 0.8), (0.99, 0.7)]):
        found.add(seen(second / 10, "A", score, label_score=label_score, shade=50 * second))
    (reading,) = found.newest_first()
    assert (reading["frame"], reading["label_score"], reading["score"], reading["frames"]) == (10, 0.8, 0.6, 3)
    picture = found.picture(reading["number"])
    assert picture is not None
    assert picture.mean() == 50
    assert (reading["first"], reading["last"]) == (1000.0, 1000.2)


def test_a_revision_changes_with_what_the_list_shows() -> None:
    found = Readings()
    revisions = []
    for done in (seen(0, "A", 0.6), seen(0.1, "A", 0.6), seen(0.2, "A", 0.7), seen(0.3, "B", 0.7)):
        found.add(done)
        revisions.append(found.revision)
    assert [later - revisions[0] for later in revisions] == [0, 0, 1, 2]
    assert revisions[0] != Readings().revision + 1, "of another run"
    found.add(seen(0.3, "B", 0.7, shade=9))  # the same frame with another margin: its picture is another one
    assert [(one["label"], one["revision"]) for one in found.newest_first()] == [
        ("B", revisions[0] + 3),
        ("A", revisions[0] + 1),
    ]


def test_only_so_many_are_kept_and_so_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Readings()
    for second in range(70):
        found.add(seen(second, str(second)))
    numbers = [one["number"] for one in found.newest_first()]
    assert (numbers[0], numbers[-1], len(numbers)) == (70, 11, 60)
    assert found.picture(1) is None
    monkeypatch.setattr(readings, "_MOST_BYTES", 5 * 40 * 60 * 3)
    found.add(seen(71, "new"))
    assert [one["picture"] for one in found.newest_first()] == [True] * 5 + [False] * 55
    assert found.picture(71) is not None
    assert found.picture(11) is None


def test_a_large_picture_is_kept_smaller_and_no_frame_at_all() -> None:
    found = Readings()
    done = seen(0)
    large = replace(done.result, image=np.zeros((1000, 4000, 3), np.uint8))
    found.add(replace(done, result=large, targets=(large,)))
    picture = found.picture(1)
    assert picture is not None
    assert picture.shape == (320, 1280, 3)
    assert not any(isinstance(value, CapturedFrame | Rectification) for value in vars(found._kept[1]).values())


def test_the_server_gives_the_list_and_the_pictures(start_run: Any) -> None:
    with start_run(max_targets=3, is_paused=True) as run:
        empty = json.loads(run.request("/api/readings")[2])
        assert empty == {"revision": run.state()["readings"], "readings": []}
        run.view.show(several_targets())
        answer = json.loads(run.request("/api/readings")[2])
        assert run.state()["readings"] == answer["revision"] == empty["revision"] + 3
        newest, second, first = answer["readings"]
        assert (first["label"], first["label_score"], first["score"], first["track"]) == ("text 0", 0.5, 0.9, 7)
        assert (newest["label"], newest["track"], newest["source"], newest["frame"]) == (None, None, "/dev/video0", 5)
        assert abs(first["first"] - time.time()) < 600
        assert np.shape(second["corners"]) == (4, 2)
        status, response, _ = fetch(run, f"/api/readings/{second['number']}.png")
        assert (status, response["Content-Type"]) == (200, "image/png")
        assert response["Content-Disposition"] == "attachment"
        for ending in ("jpg", "png"):
            picture = fetch(run, f"/api/readings/{second['number']}.{ending}")[2]
            image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
            assert image.shape == (40, 60, 3)
            assert abs(float(image.mean()) - 80) < 3
        for path in ("/api/readings/99.jpg", "/api/readings/0.png", "/api/readings/1.gif", "/api/readings/..%2f1.jpg"):
            assert run.request(path)[0] == 404


def fetch(run: Any, path: str) -> tuple[int, Any, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", run.port, timeout=60)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()
