"""`stn-rectify` from its words to its output: images, videos, signals, broken input and a full disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from stn_rectify.runtime import Rectifier
from stn_rectify.runtime.command.cli import main
from tests.waiting import DEADLINE_S

COMMAND = [sys.executable, "-m", "stn_rectify.runtime.command.cli"]
VIDEO_FRAMES = 1000  # more than there is room for lines in a pipe: a run that nobody listens to waits in the middle


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], text=True, capture_output=True, timeout=DEADLINE_S, check=False, **options
    )


@pytest.fixture
def long_video(tmp_path: Path, noise_video: bytes) -> Path:
    path = tmp_path / "long.avi"
    path.write_bytes(noise_video)
    return path


@pytest.fixture(scope="module")
def noise_video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("video") / "noise.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (320, 240))
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    for _ in range(VIDEO_FRAMES):
        writer.write(noise)
    writer.release()
    return path.read_bytes()


def test_images_to_json_lines(model: Path, images: Path) -> None:
    done = run("--image", images, "--model", model, "--jsonl", "-")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(line["source"]).name for line in lines] == ["one.png", "three.png", "two.jpg"]
    assert [line["frame"] for line in lines] == [0, 1, 2]
    assert all(np.shape(line["corners"]) == (4, 2) for line in lines)
    assert "model test (INT8, " in done.stderr
    assert "1 thread\n" in done.stderr
    assert "3 frames in " in done.stderr


def test_without_a_sink_each_image_is_a_line_for_people(model: Path, images: Path) -> None:
    done = run("--image", images / "one.png", images / "two.jpg", "--model", model)
    assert done.stdout == ""
    assert done.stderr.count("corners (") == 2


def test_save_writes_both_pictures(model: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("--image", images / "one.png", "--model", model, "--save", out, "--output-size", "80x50")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in out.iterdir()) == [
        "one.overview.jpg",
        "one.rectified.png",
    ]
    assert cv2.imread(str(out / "one.rectified.png")).shape == (50, 80, 3)


def test_output_model(make_model: Callable[..., Path], images: Path, tmp_path: Path) -> None:
    model = make_model((-1.0, 0, 0, 0, -1, 0, 0, 0), in_graph=True)
    done = run("--image", images / "one.png", "--model", model, "--output", "model", "--save", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert cv2.imread(str(tmp_path / "out" / "one.rectified.png")).shape == (32, 48, 3)


def test_the_view_is_what_is_rectified_and_saved(model: Path, images: Path, frame: np.ndarray, tmp_path: Path) -> None:
    out = tmp_path / "out"
    view = ("--hflip", "--rotation", "270", "--roi", "0,0.25,1,0.5")
    done = run("--image", images / "one.png", "--model", model, *view, "--save", out, "--jsonl", "-")
    assert done.returncode == 0, done.stderr
    seen = np.rot90(frame[:, ::-1], 1)[80:240]
    with Rectifier(model) as rectifier:
        expected = rectifier.rectify(np.ascontiguousarray(seen))
    np.testing.assert_allclose(json.loads(done.stdout)["corners"], expected.corners, atol=0.001)
    np.testing.assert_array_equal(cv2.imread(str(out / "one.rectified.png")), expected.image)
    assert cv2.imread(str(out / "one.overview.jpg")).shape[0] == 160


def test_frames_without_a_target(model: Path, images: Path, frame: np.ndarray) -> None:
    """The test models read the score off the first corner: 0 in the fixture's frame."""
    frame[:40, :40] = 200
    cv2.imwrite(str(images / "three.png"), frame)
    common = ("--image", images, "--model", model, "--jsonl", "-", "--min-score", "0.5")
    passed, skipped = run(*common), run(*common, "--on-miss", "skip")
    lines = [json.loads(line) for line in passed.stdout.splitlines()]
    assert [line["corners"][0] == [-0.5, -0.5] for line in lines] == [True, False, True]
    assert "target found in 33 %, 2 frames without one passed on unrectified" in passed.stderr
    assert [Path(json.loads(line)["source"]).name for line in skipped.stdout.splitlines()] == ["three.png"]
    assert "3 frames in " in skipped.stderr
    assert "2 frames without one skipped" in skipped.stderr


def test_smooth(model: Path, frame: np.ndarray, tmp_path: Path) -> None:
    """A video whose target moves to the right and stays there."""
    path = tmp_path / "moves.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (320, 240))
    for number in range(30):
        frame[200:, 280:] = 0 if number < 10 else 128
        writer.write(frame)
    writer.release()
    places = []
    for options in ((), ("--smooth",), ("--smooth", "--smooth-cutoff", "0.2")):
        done = run("--video", path, "--model", model, "--jsonl", "-", *options)
        assert done.returncode == 0, done.stderr
        places.append([json.loads(line)["corners"][0][0] for line in done.stdout.splitlines()])
    raw, smooth, smoother = np.array(places)
    assert abs(smoother[10] - smoother[9]) < abs(smooth[10] - smooth[9])
    assert smooth[9] == pytest.approx(raw[9], abs=0.1)
    assert raw[9] + 1 < smooth[10] < raw[10] - 1
    assert smooth[29] == pytest.approx(raw[29], abs=0.5)


def test_a_broken_image_is_one_line_and_the_batch_goes_on(model: Path, images: Path) -> None:
    (images / "three.png").write_bytes(b"broken")
    done = run("--image", images, "--model", model, "--jsonl", "-")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr.count("stn-rectify: error: cannot read the image") == 1
    assert "2 frames in " in done.stderr
    assert "1 failed" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_video_and_a_limit(model: Path, long_video: Path, tmp_path: Path) -> None:
    done = run("--video", long_video, "--model", model, "--frames", 5, "--jsonl", tmp_path / "out.jsonl")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2, 3, 4]
    assert "5 frames in " in done.stderr


def test_a_truncated_video_gives_its_frames_and_an_error(model: Path, long_video: Path) -> None:
    content = long_video.read_bytes()
    long_video.write_bytes(content[: len(content) // 50])
    done = run("--video", long_video, "--model", model, "--jsonl", "-")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) > 10
    assert "is cut short" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_cleanly_with_a_summary(model: Path, long_video: Path, number: int) -> None:
    arguments = ["--video", str(long_video), "--model", str(model), "--jsonl", "-"]
    process = subprocess.Popen(  # without a buffer here, in which `communicate` would not look
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    assert process.stdout is not None
    first = [process.stdout.readline() for _ in range(5)]
    process.send_signal(number)
    rest, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, errors
    lines = [json.loads(line) for line in [*first, *rest.splitlines()]]
    assert 5 <= len(lines) < VIDEO_FRAMES
    assert f"{len(lines)} frames in ".encode() in errors.splitlines()[-1]
    assert b"Traceback" not in errors


def test_a_stopped_folder_says_how_many_images_are_left(model: Path, tmp_path: Path) -> None:
    for number in range(400):
        cv2.imwrite(str(tmp_path / f"{number:03}.png"), np.full((48, 64, 3), number % 256, np.uint8))
    arguments = ["--image", str(tmp_path), "--model", str(model), "--jsonl", "-"]
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    assert process.stdout is not None
    first = [process.stdout.readline() for _ in range(3)]
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=DEADLINE_S)
    done = len(first) + len(rest.splitlines())
    assert 3 <= done < 400
    assert f", stopped before {400 - done} more file" in errors.decode().splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_that_waits_for_a_frame(model: Path, long_video: Path, tmp_path: Path, number: int) -> None:
    """The video comes through a pipe whose writer stops in the middle, like a camera that has stalled."""
    pipe = tmp_path / "pipe.avi"
    os.mkfifo(pipe)
    arguments = ["--video", str(pipe), "--model", str(model), "--jsonl", "-"]
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    content = long_video.read_bytes()[:2_000_000]
    whole = content.count(b"\xff\xd9")  # each JPEG ends so, and none has these bytes elsewhere
    with open(pipe, "wb", buffering=0) as writer:
        writer.write(content)
        for index in range(whole):
            assert json.loads(process.stdout.readline())["frame"] == index
        process.send_signal(number)
        _, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, errors  # 1 if it had waited until no frame came
    assert f"{whole} frames in " in errors.splitlines()[-1]


def test_a_reader_that_leaves_ends_the_run_quietly(model: Path, long_video: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "--video", str(long_video), "--model", str(model), "--jsonl", "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(DEADLINE_S) == 0
    assert "error" not in errors.lower()
    assert "Broken" not in errors


def test_a_full_disk_is_one_line(model: Path, images: Path) -> None:
    done = run("--image", images, "--model", model, "--jsonl", "/dev/full")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("stn-rectify: error: cannot write /dev/full: No space left")


def test_results_are_appended_from_run_to_run(model: Path, images: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert main(["--image", str(images), "--model", str(model), "--jsonl", str(tmp_path / "out.jsonl")]) == 0
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in lines] == [0, 1, 2, 0, 1, 2]


def test_version_says_which_interpreter() -> None:
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("stn-rectify ")
    assert "tflite-runtime 2." in done.stdout or "ai-edge-litert 2." in done.stdout


def test_list_cameras_needs_no_model() -> None:
    done = run("--list-cameras")
    assert done.returncode == 0
    assert "/dev/video" in done.stdout or "no camera found" in done.stderr


def test_signal_handlers_are_restored(model: Path, images: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    main(["--image", str(images), "--model", str(model)])
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_dense_model_says_how_closely_it_looks(
    make_dense_model: Callable[..., Path], images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = make_dense_model(refine={"theta": (1 / 1.4, 0, 0, 0, 1 / 1.4, 0, 0, 0)})
    words = ["--image", str(images / "one.png"), "--model", str(file), "--scan", "fast", "--margin", "0.1"]
    assert main(words) == 0
    line = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("model "))
    assert "(INT8, dense, 2 networks, " in line
    assert line.endswith("1 thread, scan fast, 2 refinement passes")


def test_a_margin_is_in_the_image_that_is_saved(model: Path, images: Path, tmp_path: Path) -> None:
    words = ["--image", str(images / "one.png"), "--model", str(model)]
    for margin in ("0", "0.5"):
        assert main([*words, "--save", str(tmp_path / margin), "--margin", margin]) == 0
    tight, wide = (cv2.imread(str(tmp_path / f / "one.rectified.png")) for f in ("0", "0.5"))
    assert wide.shape[0] > 1.5 * tight.shape[0]


def scene(*places: tuple[int, int, int]) -> np.ndarray:
    """A black frame with targets for the dense test model: x and y of the middle, and the score, 256ths."""
    frame = np.zeros((192, 256, 3), np.uint8)
    for x, y, score in places:
        frame[y - 8 : y + 8, x - 8 : x + 8] = (0, 20, score)
    return frame


DENSE_LEVELS = ((96, 128),)


def test_with_a_model_of_one_look_it_says_which_find_several() -> None:
    done = run("--demo", "--model", "single", "--max-targets", 3)
    assert "--max-targets 3: single finds one target in a frame; for several: --model general or plates" in done.stderr
    assert "for several" not in run("--demo", "--max-targets", 3).stderr


def test_with_a_model_that_finds_other_targets_it_says_what_the_recognizer_reads() -> None:
    said = "--recognizer plates reads what --model plates finds"
    assert run("--demo", "--recognizer", "plates").stderr.count(said) == 1
    assert said not in run("--demo", "--recognizer", "plates", "--model", "plates").stderr


def test_with_a_model_of_one_look_a_scan_changes_nothing_and_it_says_so() -> None:
    said = "--scan fine: fast looks at each frame in one way; --model general or plates looks as closely as asked"
    assert said in run("--demo", "--model", "fast", "--scan", "fine").stderr
    assert "--scan" not in run("--demo", "--model", "general", "--scan", "fine").stderr


def test_all_targets_of_images(make_dense_model: Callable[..., Path], tmp_path: Path) -> None:
    model = make_dense_model(DENSE_LEVELS, min_score=0.4)
    folder, saved = tmp_path / "images", tmp_path / "saved"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), scene((40, 40, 128), (200, 40, 230), (120, 136, 180), (40, 136, 80)))
    cv2.imwrite(str(folder / "b.png"), scene((40, 40, 80)))
    done = run("--image", folder, "--model", model, "--max-targets", 5, "--jsonl", "-", "--save", saved)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert [round(one["score"], 1) for one in first["targets"]] == [
        0.9,
        0.7,
        0.5,
    ]  # the file's own score leaves one out
    assert {key: first[key] for key in ("corners", "score")} == {
        key: first["targets"][0][key] for key in ("corners", "score")
    }
    assert [one["track"] for one in first["targets"]] == [None] * 3
    assert (second["targets"], round(second["score"], 1)) == ([], 0.3)
    assert {path.name for path in saved.iterdir()} == {
        *(f"a.{part}rectified.png" for part in ("", "2.", "3.")),
        "a.overview.jpg",
        "b.rectified.png",
        "b.overview.jpg",
    }
    assert "target found in 50 %, 1.50 targets a frame, 1 frame without one passed on" in done.stderr
    assert "passed on unrectified" not in done.stderr  # below the model's own score alone nothing is thrown away
    two = run("--image", folder / "a.png", "--model", model, "--max-targets", 2)
    assert two.stderr.count("a.png: corners ") == 2
    assert "targets" not in json.loads(run("--image", folder / "a.png", "--model", model, "--jsonl", "-").stdout)


def test_targets_of_a_video_keep_their_numbers(make_dense_model: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / "cross.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (256, 192))
    for number in range(12):
        writer.write(scene((40 + 16 * number, 40, 230 - 10 * number), (216 - 16 * number, 88, 150 + 6 * number)))
    writer.release()
    done = run(
        "--video",
        path,
        "--model",
        make_dense_model(DENSE_LEVELS),
        "--max-targets",
        4,
        "--min-score",
        0.3,
        "--jsonl",
        "-",
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 12
    tracks = [
        {("upper" if one["corners"][0][1] < 60 else "lower"): one["track"] for one in line["targets"]} for line in lines
    ]
    assert tracks == [{"upper": 1, "lower": 2}] * 12
    assert [lines[0]["track"], lines[-1]["track"]] == [1, 2], "the line's own is the best target's"


def test_following_needs_passes(make_dense_model: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (256, 192))
    writer.write(scene())
    writer.release()
    done = run("--video", path, "--model", make_dense_model(DENSE_LEVELS), "--scan-every", 5)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if not line.startswith("INFO: ")]  # ai-edge-litert's own
    assert len(lines) == 1
    assert lines[0].startswith("stn-rectify: error: scan_every (--scan-every) follows targets by refinement passes")


def test_what_is_left_out_and_what_libraries_say_is_one_line_each(model: Path, images: Path) -> None:
    (images / "d.HEIC").write_bytes(b"")
    Image.fromarray(np.tile(np.arange(256, dtype=np.uint16), (20, 1)) * 16).save(images / "deep.png")
    palette = Image.new("P", (30, 20))
    palette.putpalette([9, 9, 9, 200, 200, 200])
    palette.save(images / "palette.png", transparency=b"\0\xff")
    exif = Image.Exif()
    exif[0x9286] = "x" * 40
    cut = exif.tobytes()[:-20]  # Pillow: "Truncated File Read"
    Image.new("RGB", (30, 20)).save(images / "exif.jpg", exif=cut)
    done = run("--image", images, "--model", model, "--jsonl", "-")
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "warning" in line.lower()]
    assert all(line.startswith("stn-rectify: warning: ") for line in said)
    assert any("left out 1 .heic file (" in line for line in said)
    assert any("deep.png: its 16-bit values end at 4080: taken for 12 bits" in line for line in said)
    assert "site-packages" not in done.stderr
    assert "UserWarning" not in done.stderr
    assert len(done.stdout.splitlines()) == 6


def test_max_pixels_reads_photographs_scaled_down_and_refuses_others(model: Path, tmp_path: Path) -> None:
    Image.new("RGB", (1000, 1200)).save(tmp_path / "a.jpg")
    Image.new("RGB", (1000, 1200)).save(tmp_path / "b.png")
    done = run("--image", tmp_path, "--model", model, "--max-pixels", "0.5M", "--jsonl", "-")
    assert done.returncode == 1
    assert "warning: " + str(tmp_path / "a.jpg") + ": 1000x1200 are 1.2 million pixels" in done.stderr
    assert (
        "b.png: 1000x1200 are 1.2 million pixels, more than 0.5 million: scale it down, or --max-pixels 2M reads"
        in done.stderr
    )
    assert [Path(json.loads(line)["source"]).name for line in done.stdout.splitlines()] == ["a.jpg"]
    assert run("--image", tmp_path, "--model", model, "--max-pixels", "2M").returncode == 0
    done = run("--camera", "0", "--model", model, "--max-pixels", "2M")
    assert done.stderr == "stn-rectify: error: --max-pixels needs --image\n"


def test_pages_are_told_apart_in_lines_and_pictures(model: Path, tmp_path: Path) -> None:
    pages = [Image.new("RGB", (60, 40), (level,) * 3) for level in (50, 150)]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    done = run("--image", tmp_path, "--model", model, "--jsonl", "-", "--save", tmp_path / "out")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["frame"], line.get("page")) for line in lines] == [(0, None), (1, 1), (2, 2)]
    assert len(list((tmp_path / "out").glob("scan-*.rectified.png"))) == 2
    assert "scan.tif page 2: corners" in run("--image", tmp_path, "--model", model).stderr


@pytest.mark.parametrize(
    ("words", "keys"),
    [((), {"track", "turn_score"}), (("--upright", "off"), set())],
    ids=["turn network", "not asked"],
)
def test_the_one_target_of_a_video_is_followed_where_its_frames_vote_on_which_side_is_up(
    make_model: Callable[..., Path], tmp_path: Path, noise_video: bytes, words: tuple[str, ...], keys: set[str]
) -> None:
    (tmp_path / "noise.avi").write_bytes(noise_video)
    model = make_model((0.5, 0.05, 0.1, -0.04, 0.6, -0.05, 0.06, -0.04), turn=0.8)
    words = ("--min-score", "0", "--frames", "2", *words)
    done = run("--video", tmp_path / "noise.avi", "--model", model, "--jsonl", "-", *words)
    assert done.returncode == 0, done.stderr
    for line in map(json.loads, done.stdout.splitlines()):
        assert line.keys() & {"track", "turn_score"} == keys
