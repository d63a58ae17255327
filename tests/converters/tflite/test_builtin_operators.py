"""The table of operators is what tflite-runtime says of itself."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from stn_rectify.converters.tflite.builtin_operators import VERSIONS


@pytest.mark.skipif(importlib.util.find_spec("tflite_runtime") is None, reason="tflite-runtime is not installed")
def test_the_table_is_what_the_interpreter_accepts():
    """In a process of its own: beside TensorFlow it would answer for TensorFlow's kernels."""
    command = [sys.executable, "-m", "stn_rectify.converters.tflite.builtin_operators"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert printed[0] == "# tflite-runtime 2.14.0"
    rows = (line.strip().rstrip(",").split(": ") for line in printed[1:])
    assert {name.strip('"'): int(version) for name, version in rows} == VERSIONS
