"""The examples in docs/examples, each run as a reader would run it."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "docs" / "examples"
DEMO = ROOT / "runtime" / "data" / "demo.jpg"


def run(name: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, EXAMPLES / name, *words], capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample image, shifted a little in each of ten frames."""
    path, frame = tmp_path_factory.mktemp("video") / "shift.avi", cv2.imread(str(DEMO))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, frame.shape[1::-1])
    for shift in range(10):
        writer.write(np.roll(frame, shift, axis=1))
    writer.release()
    return path


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short_and_listed(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 40
    assert f"]({path.name})" in (EXAMPLES / "README.md").read_text()


@pytest.mark.parametrize("name", sorted({path.name for path in EXAMPLES.glob("*.py")} - {"web_app.py"}))
def test_an_example_without_its_words_says_so_in_a_line(name: str) -> None:
    """But for the web app, which needs none."""
    done = run(name)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr


def test_one_image(tmp_path: Path) -> None:
    done = run("rectify_image.py", DEMO, tmp_path / "upright.png")
    assert done.returncode == 0, done.stderr
    assert re.search(r"top left: 22\d\.\d, 36\d\.\d", done.stdout), done.stdout
    assert cv2.imread(str(tmp_path / "upright.png")).shape[0] > 100


def test_one_image_without_a_target(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((240, 320, 3), 127, np.uint8))
    done = run("rectify_image.py", tmp_path / "grey.png", tmp_path / "upright.png")
    assert done.returncode == 1
    assert "no target found" in done.stderr
    assert not (tmp_path / "upright.png").exists()


def test_a_callback_for_each_target(video: Path) -> None:
    lines = run("camera_callback.py", video).stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"frame {n}" for n in range(10)]


def test_a_camera_that_is_not_there_is_one_line() -> None:
    done = run("camera_callback.py", "99")
    assert done.returncode == 1
    assert done.stderr.startswith("camera /dev/video99 does not exist")


def test_a_recognizer_of_ones_own_reads_a_code_at_an_angle(tmp_path: Path) -> None:
    code = cv2.QRCodeEncoder.create().encode("upright at last")
    page = cv2.copyMakeBorder(cv2.resize(code, (380, 380), interpolation=cv2.INTER_NEAREST), *[60] * 4, 0, value=255)
    corners = np.array([[150, 60], [480, 110], [440, 430], [110, 370]], np.float32)
    outer = np.array([[0, 0], [500, 0], [500, 500], [0, 500]], np.float32)
    frame = cv2.warpPerspective(
        page, cv2.getPerspectiveTransform(outer, corners), (640, 480), borderValue=(70,) * 4, flags=cv2.INTER_LINEAR
    )
    cv2.imwrite(str(tmp_path / "code.png"), cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
    done = run("own_recognizer.py", tmp_path / "code.png", DEMO)
    first, second = done.stdout.splitlines()
    assert "code.png: upright at last" in first, done.stderr
    assert "demo.jpg: no code" in second


def test_boxes_of_a_detector_of_ones_own(tmp_path: Path) -> None:
    frame = np.full((480, 640, 3), 70, np.uint8)
    outer = np.array([[0, 0], [500, 0], [500, 500], [0, 500]], np.float32)
    for text, left in (("first", 30), ("second", 350)):
        code = cv2.resize(cv2.QRCodeEncoder.create().encode(text), (400, 400), interpolation=cv2.INTER_NEAREST)
        page = cv2.cvtColor(cv2.copyMakeBorder(code, *[50] * 4, 0, value=255), cv2.COLOR_GRAY2BGR)
        corners = np.array([[left, 120], [left + 240, 140], [left + 230, 370], [left + 10, 350]], np.float32)
        matrix = cv2.getPerspectiveTransform(outer, corners)
        cv2.warpPerspective(page, matrix, (640, 480), dst=frame, borderMode=cv2.BORDER_TRANSPARENT)
    path, made = tmp_path / "codes.png", tmp_path / "made" / "codes"
    cv2.imwrite(str(path), frame)
    done = run("own_detector.py", made.parent, path)
    assert done.returncode == 0, done.stderr
    assert sorted(line.split(": ")[0] for line in done.stdout.splitlines()) == [f"{made}.0.png", f"{made}.1.png"]
    texts = {cv2.QRCodeDetector().detectAndDecode(cv2.imread(f"{made}.{k}.png"))[0] for k in (0, 1)}
    assert texts == {"first", "second"}


def test_a_folder_in_processes(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (photos / name).write_bytes(DEMO.read_bytes())
    (photos / "c.jpg").write_bytes(b"no image")
    (photos / "more").mkdir()
    done = run("folder_in_processes.py", photos, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.jpg.png", "b.jpg.png"]
    assert "cannot read the image" in done.stdout


def test_asyncio(video: Path) -> None:
    done = run("asyncio_frames.py", video)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("score 0.9") == 10


@pytest.fixture
def web_app() -> Iterator[str]:
    """The address of the running web app."""
    command = [sys.executable, EXAMPLES / "web_app.py", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def test_a_web_app(web_app: str) -> None:
    with urllib.request.urlopen(web_app, DEMO.read_bytes(), timeout=60) as answer:
        image = cv2.imdecode(np.frombuffer(answer.read(), np.uint8), cv2.IMREAD_COLOR)
        assert float(answer.headers["X-Score"]) > 0.9
    assert image is not None
    assert image.shape[0] > 100
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(web_app, b"no image", timeout=60)


def test_drawn_frames_are_what_the_commands_take(tmp_path: Path) -> None:
    from stn_rectify.runtime.annotations import read_annotations

    script = ROOT / "docs" / "sample" / "frames.py"
    command = [sys.executable, script, tmp_path / "frames", "--count", "6"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    read = read_annotations(tmp_path / "frames")
    assert len(read.frames) == 6
    kinds = {frame.path.stem.split("-")[1]: len(frame.targets) for frame in read.frames}
    assert all(count == (kind != "empty") for kind, count in kinds.items())
    assert sum(kinds.values()) >= 3
