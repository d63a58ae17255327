"""Interpreters in processes of their own: how long these live."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter, interpreters_kept
from stn_rectify.runtime.errors import ModelFileError


def new_processes(before):
    """Children of this process that were not there before; the tracker of multiprocessing's resources is none."""
    found = {child for child in psutil.Process().children() if "resource_tracker" not in " ".join(child.cmdline())}
    return found - before


def test_a_process_is_kept_for_the_next_in_the_block_and_ended_behind_it():
    before = new_processes(set())
    with interpreters_kept():
        with IsolatedInterpreter() as first:
            (process,) = new_processes(before)
        assert new_processes(before) == {process}
        with IsolatedInterpreter() as second:
            assert (new_processes(before), second.package) == ({process}, first.package)
            with pytest.raises(ModelFileError):  # it answers, and it has forgotten nothing of how to refuse
                second.load(b"no model")
        first.close()
        second.close()
        assert new_processes(before) == {process}
    assert not new_processes(before)
    with IsolatedInterpreter():
        assert new_processes(before)
    assert not new_processes(before)


def test_a_process_that_died_is_not_kept():
    before = new_processes(set())
    with interpreters_kept():
        with IsolatedInterpreter() as first:
            (process,) = new_processes(before)
            process.kill()
            with pytest.raises(ModelFileError, match="the interpreter died"):
                first.load(b"")
        with IsolatedInterpreter():
            assert process not in new_processes(before)


MAIN = """
import psutil
import tensorflow
from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter
if __name__ == "__main__":
    with IsolatedInterpreter():
        print(*(place.path for child in psutil.Process().children() for place in child.memory_maps()), sep="\\n")
"""


def test_tensorflow_in_the_main_program_is_not_in_the_process(tmp_path):
    """There, tflite-runtime would run TensorFlow's kernels: other bits, and 2.19.1 ends on files that it runs."""
    (tmp_path / "main.py").write_text(MAIN)
    command = [sys.executable, str(tmp_path / "main.py")]
    mapped = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "interpreter_wrapper" in mapped
    assert "libtensorflow" not in mapped
