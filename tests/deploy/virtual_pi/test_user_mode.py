"""Programs on emulated cores: the same bits as here, and instructions that can be compared."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from stn_rectify.converters.tflite.isolated_interpreter import installed_packages
from tests.deploy.virtual_pi.conftest import VirtualPi

pytestmark = pytest.mark.virtual_pi

# What the interpreter gives for random images, network by network: no OpenCV, which rounds by machine.
_BITS = """
import hashlib, sys
import numpy as np
from stn_rectify.runtime import ModelFile
from tflite_runtime.interpreter import Interpreter
for name in ("fast", "digits"):
    interpreter = Interpreter(model_content=ModelFile.open(name).flatbuffer)
    interpreter.allocate_tensors()
    digest, rng = hashlib.sha256(), np.random.default_rng(0)
    for _ in range(5):
        for tensor in interpreter.get_input_details():
            interpreter.set_tensor(tensor["index"], rng.integers(-128, 128, tensor["shape"]).astype(tensor["dtype"]))
        interpreter.invoke()
        for tensor in interpreter.get_output_details():
            digest.update(interpreter.get_tensor(tensor["index"]).tobytes())
    print(name, digest.hexdigest())
"""

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
def test_a_core_gives_the_same_bits_as_this_machine(virtual_pi: VirtualPi, core: str) -> None:
    there = virtual_pi("run", "--core", core, "--", "-c", _BITS).stdout
    here = subprocess.run([sys.executable, "-c", _BITS], capture_output=True, text=True, check=True).stdout
    assert there == here
    assert len(there.splitlines()) == 2


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
