"""A signal ends each program without a word before it has begun its work, whatever it is importing."""

from __future__ import annotations

import configparser
import importlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stn_rectify.runtime.model.interpreter import find_interpreter_package, module_name
from tests.waiting import DEADLINE_S

SETUP = Path(__file__).parents[3] / "setup.cfg"
#: Sends itself a signal when a module begins to be imported, as a person may at any moment.
INTERRUPTED_AT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.{handler})  # a shell's background ignores it
class Interrupting:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(Interrupting)
            os.kill(os.getpid(), {number:d})
sys.meta_path.insert(0, Interrupting)
from stn_rectify.runtime.process import starting
sys.argv = {words!r}
starting.{program}()
"""


def run(
    program: str, module: str, words: list[str], number: int = signal.SIGINT, *, handler: str = "default_int_handler"
) -> subprocess.CompletedProcess[str]:
    """Runs a program, and interrupts it when it begins to import a module; the handler is that of its start."""
    code = INTERRUPTED_AT.format(
        program=program, module=module, words=[program, *words], number=number, handler=handler
    )
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE_S)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", ["numpy", "cv2", "PIL.Image", "stn_rectify.runtime.pipeline"])
def test_a_signal_while_stn_rectify_is_being_loaded_ends_it(module: str, number: int) -> None:
    done = run("rectify", module, ["--demo", "--model", "fast"], number)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_interpreter_is_being_loaded_ends_the_run(number: int) -> None:
    """It has begun by then, and may have said what it reads and with what."""
    done = run("rectify", module_name(find_interpreter_package()), ["--demo", "--model", "fast"], number)
    assert (done.returncode, done.stdout) == (130, "")
    assert not [line for line in done.stderr.splitlines() if "error" in line.lower() or "Traceback" in line]


@pytest.mark.parametrize(
    ("program", "module"),
    [("train", "wrapt"), ("train", "stn_rectify.models.command.subcommands.pose"), ("convert", "numpy")],
)
def test_a_signal_while_the_other_programs_are_being_loaded_ends_them(program: str, module: str) -> None:
    if module == "wrapt":
        pytest.importorskip("wrapt", reason="the extra train brings it")
    done = run(program, module, ["--help"])
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_the_console_scripts_load_next_to_nothing_before_signals_are_taken_care_of() -> None:
    setup = configparser.ConfigParser()
    setup.read(SETUP)
    scripts = setup["options.entry_points"]["console_scripts"].split("\n")
    places = [line.partition("=")[2].strip() for line in scripts if line.strip()]
    assert [place.partition(":")[0] for place in places] == ["stn_rectify.runtime.process.starting"] * 3
    starting = importlib.import_module("stn_rectify.runtime.process.starting")
    assert all(callable(getattr(starting, place.partition(":")[2])) for place in places)
    code = "import sys, stn_rectify.runtime.process.starting; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "cv2", "PIL", "wrapt", "argparse"} & set(done.stdout.split())


def test_ctrl_c_that_is_ignored_stays_so_before_the_work_and_in_it() -> None:
    """As it is for what a script runs in the background: `nohup`, ``&``."""
    done = run("rectify", "stn_rectify.runtime.command.upkeep.models", ["models", "list"], handler="SIG_IGN")
    assert done.returncode == 0
    assert "bundled" in done.stdout
