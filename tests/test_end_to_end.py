"""The whole road by the three commands: train, convert both kinds, rectify a folder of frames."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_rectify.models.synthesis import FrameSynthesiser
from stn_rectify.runtime import Rectifier


def run(command, *arguments):
    script = Path(sys.executable).with_name(command)
    done = subprocess.run([script, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    """A folder with frames and a barely trained model in both kinds."""
    folder = tmp_path_factory.mktemp("road")
    (folder / "frames").mkdir()
    synthesiser = FrameSynthesiser(seed=3, frame_size=(320, 240))
    for k in range(6):
        cv2.imwrite(str(folder / "frames" / f"{k}.png"), synthesiser(k).frame)
    network = "--input-shape 48x48x3 --body fused --width 0.5"
    course = "--samples 80 --batch-size 20 --epochs 2 --hold-out 20 --jobs 1"
    printed = run("stn-train", "pose", "--out", folder / "tiny.keras", *network.split(), *course.split())
    assert "synthesised hold-out" in printed
    for kind, flags in (("in-graph", []), ("pose-only", ["--pose-only"])):
        calibration = ["--calibration", folder / "tiny.calibration.npz"]
        printed = run("stn-convert", folder / "tiny.keras", "--out", folder / kind, *calibration, *flags)
        assert "passed  float tensors: 0" in printed
    return folder


def test_a_folder_of_frames_gives_a_json_line_each(road):
    printed = run("stn-rectify", "--image", road / "frames", "--model", road / "in-graph/tiny.tflite", "--jsonl", "-")
    lines = [json.loads(line) for line in printed.splitlines()]
    keys = ["source", "frame", "timestamp", "corners", "score", "label", "label_score", "latency_ms"]
    assert [list(line) for line in lines] == [keys] * 6
    assert [line["frame"] for line in lines] == list(range(6))
    assert all(np.shape(line["corners"]) == (4, 2) for line in lines)


def test_both_kinds_give_the_same_geometry(road):
    with (
        Rectifier(road / "in-graph/tiny.tflite", output_size=(80, 60)) as in_graph,
        Rectifier(road / "pose-only/tiny.tflite", output_size=(80, 60)) as pose_only,
    ):
        for file in sorted((road / "frames").iterdir()):
            a, b = (rectifier.rectify(cv2.imread(str(file))) for rectifier in (in_graph, pose_only))
            np.testing.assert_array_equal(a.corners, b.corners)
            np.testing.assert_array_equal(a.image, b.image)
            assert a.score == b.score


def test_the_graphs_pixels_are_those_that_opencv_warps(road):
    """The frame is the network's input, so both read the same pixels; the rest is interpolation."""
    with (
        Rectifier(road / "in-graph/tiny.tflite", output="model") as graph,
        Rectifier(road / "in-graph/tiny.tflite", output_size=(48, 48)) as opencv,
    ):
        for file in sorted((road / "frames").iterdir()):
            frame = cv2.GaussianBlur(cv2.resize(cv2.imread(str(file)), (48, 48)), (0, 0), 2)
            a, b = graph.rectify(frame), opencv.rectify(frame)
            np.testing.assert_array_equal(a.corners, b.corners)
            inside = cv2.erode(_inside(b.homography), np.ones((5, 5))) > 0
            assert np.abs(a.image.astype(int) - b.image)[inside].max(initial=0) <= 4


def _inside(homography):
    """Rectified pixels that are read from within the frame."""
    return cv2.warpPerspective(
        np.ones((48, 48), np.uint8), homography, (48, 48), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    )
