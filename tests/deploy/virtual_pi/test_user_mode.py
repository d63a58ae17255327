"""Programs on emulated cores: the numbers that this machine gives, and instructions that can be compared."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stn_rectify.converters.tflite.isolated_interpreter import installed_packages
from tests.deploy.virtual_pi.conftest import VirtualPi

pytestmark = [pytest.mark.virtual_pi, pytest.mark.slow]

# What the interpreter gives for random images: poses and scores as they stand in the file. No OpenCV.
_POSES = """
import json
import numpy as np
from tflite_runtime.interpreter import Interpreter
from stn_rectify.runtime import ModelFile
for name in ("fast", "digits"):
    interpreter = Interpreter(model_content=ModelFile.open(name).flatbuffer)
    interpreter.allocate_tensors()
    (image,) = interpreter.get_input_details()
    rng = np.random.default_rng(0)
    for _ in range(5):
        interpreter.set_tensor(image["index"], rng.integers(-128, 128, image["shape"]).astype(image["dtype"]))
        interpreter.invoke()
        outputs = [interpreter.get_tensor(tensor["index"]).ravel() for tensor in interpreter.get_output_details()]
        print(json.dumps([values.tolist() for values in outputs if values.size <= 10]))
"""
_ONE_ROUNDING = 2**20 // 256  # of a coefficient of θ, whose one is 2**20: 1/8 pixel of 64

_MARKED = """
import os
from contextlib import suppress
import numpy as np
from stn_rectify.runtime import Rectifier
frame = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
with Rectifier("fast") as rectifier:
    for number in range(-2, 4):
        if number > 0:
            with suppress(OSError):
                os.sched_get_priority_max(0x5A000000 | number)
        rectifier.rectify(frame)
"""


@pytest.mark.skipif("tflite-runtime" not in installed_packages(), reason="tflite-runtime is not installed here")
@pytest.mark.parametrize("core", ["pi4", "pi5"])
def test_a_core_gives_the_poses_of_this_machine(virtual_pi: VirtualPi, core: str) -> None:
    """Most bit for bit; of a rare frame a convolution rounds otherwise by one, which moves the pose by 1/30 pixel."""
    there = virtual_pi("run", "--core", core, "--", "-c", _POSES).stdout
    here = subprocess.run([sys.executable, "-c", _POSES], capture_output=True, text=True, check=True).stdout
    frames = list(zip(map(json.loads, there.splitlines()), map(json.loads, here.splitlines()), strict=True))
    assert len(frames) == 10
    assert sum(one == other for one, other in frames) >= 8
    for one, other in frames:
        for mine, theirs in zip(one, other, strict=True):
            assert np.abs(np.subtract(mine, theirs)).max() <= _ONE_ROUNDING


def test_counted_instructions_repeat_and_a_pi_5_has_the_dot_product(virtual_pi: VirtualPi, tmp_path: Path) -> None:
    script = tmp_path / "marked.py"
    script.write_text(_MARKED)
    counted = {}
    for core in ("pi4", "pi5"):
        said = virtual_pi("count", "--core", core, "--litert", "--", script).stdout
        frames = re.findall(r"^from mark \d to mark \d: (\d+) instructions(?:, (\d+) of)?", said, re.MULTILINE)
        (first, dots), (second, _) = frames
        assert int(first) == pytest.approx(int(second), rel=0.01)
        counted[core] = (int(first), int(dots or 0))
    assert counted["pi4"][1] == 0 < counted["pi5"][1]
    assert counted["pi5"][0] < counted["pi4"][0] < 20_000_000
