"""One rectifier, one recognizer for several threads and for forked children; what cannot be pickled says so."""

from __future__ import annotations

import copy
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stn_rectify.runtime import Pipeline, RecognitionStage, Recognizer, Rectifier, UsageError
from stn_rectify.runtime.model.interpreter import open_interpreter
from stn_rectify.runtime.process.sharing import OneAtATime

MakeModel = Callable[..., Path]

FORK = """
import os, sys, threading
import numpy as np
from stn_rectify.runtime import Recognizer, Rectifier

frame = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
rectifier, recognizer = Rectifier({model!r}, threads=2), Recognizer("digits", threads=2)
closed = Rectifier({model!r}, threads=2)
wanted = rectifier.rectify(frame).corners, recognizer.recognize(frame).class_scores  # their threads are there by now
closed.rectify(frame)
{before}
child = os.fork()
if not child:
    {in_child}
    sys.exit(0)  # which deletes everything, as a program of its own does
_, status = os.waitpid(child, 0)
{after}
sys.exit(os.waitstatus_to_exitcode(status))
"""
USES = """
    closed.close()
    np.testing.assert_array_equal(rectifier.rectify(frame).corners, wanted[0])
    np.testing.assert_array_equal(recognizer.recognize(frame).class_scores, wanted[1])
"""
HOLDS = """
held, leave = threading.Event(), threading.Event()
def hold():
    with rectifier._use.turn(), recognizer._use.turn():
        held.set()
        leave.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="nothing forks there")
@pytest.mark.parametrize(
    ("before", "in_child", "after"),
    [
        pytest.param("", USES, "", id="used in the child"),
        pytest.param("", "pass", "", id="not used in the child"),
        pytest.param(HOLDS, USES, "leave.set()", id="in use by a thread of the parent"),
        pytest.param("rectifier.close(); rectifier = Rectifier({model!r}, threads=2)", USES, "", id="not used before"),
        pytest.param("", USES.replace("    closed.close()", "    if (grandchild := os.fork()): sys.exit("
        "os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))"), "", id="in a child's child"),
    ],
)  # fmt: skip
def test_a_forked_child_uses_what_its_parent_made(
    make_model: MakeModel, before: str, in_child: str, after: str
) -> None:
    model = str(make_model())
    script = FORK.format(model=model, before=before.format(model=model), in_child=in_child, after=after)
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)  # a hang ends here


def test_threads_take_turns(make_model: MakeModel) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), np.uint8)
    outcomes: list[object] = []

    def work() -> None:
        barrier.wait()
        for _ in range(5):
            outcomes.append((rectifier.rectify(frame).corners, recognizer.recognize(frame).class_scores))

    barrier = threading.Barrier(4)
    with Rectifier(make_model()) as rectifier, Recognizer("digits") as recognizer:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(outcomes) == 20  # a thread that got an error has none
    for corners, scores in outcomes:
        np.testing.assert_array_equal(corners, outcomes[0][0])
        np.testing.assert_array_equal(scores, outcomes[0][1])


@pytest.mark.parametrize("noun", ["Rectifier", "Recognizer"])
@pytest.mark.parametrize("blocking", [True, False])
def test_another_thread_waits_or_gets_an_error(make_model: MakeModel, noun: str, blocking: bool) -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    used: Any = (Rectifier(make_model(), blocking=blocking) if noun == "Rectifier" else
                 Recognizer("digits", blocking=blocking))  # fmt: skip
    run = used.rectify if noun == "Rectifier" else used.recognize
    answers: list[object] = []

    def other() -> None:
        for method in (lambda: run(image), used.close):
            try:
                answers.append(method())
            except UsageError as error:
                answers.append(error)

    thread = threading.Thread(target=other)
    with used._use.turn():
        thread.start()
        if not blocking:
            thread.join()
        assert len(answers) == (0 if blocking else 2)
    thread.join()
    if blocking:
        assert type(answers[0]).__name__ in ("Rectification", "Recognition")
    else:
        assert all(isinstance(error, UsageError) for error in answers)
        assert f"this {noun} is in use by another thread" in str(answers[0])


def test_a_thread_does_not_wait_for_itself() -> None:
    use = OneAtATime("Rectifier", object(), blocking=True)

    def handler(*_: object) -> None:
        with use.turn():
            pass

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(UsageError, match="by this very thread"), use.turn():
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    with use.turn():
        pass


def holders(make_model: MakeModel) -> dict[str, tuple[object, str]]:
    rectifier, recognizer = Rectifier(make_model()), Recognizer("digits")
    return {
        "rectifier": (rectifier, "Rectifier"),
        "recognizer": (recognizer, "Recognizer"),
        "stage": (RecognitionStage(recognizer), "Recognizer"),
        "pipeline": (Pipeline(rectifier), "Rectifier"),
        "interpreter": (open_interpreter(rectifier.model.flatbuffer), "Interpreter"),
    }


@pytest.mark.parametrize("name", ["rectifier", "recognizer", "stage", "pipeline", "interpreter"])
@pytest.mark.parametrize("take", [pickle.dumps, copy.deepcopy], ids=["pickle", "deepcopy"])
def test_pickling_says_what_to_do_instead(make_model: MakeModel, name: str, take: Callable[[object], object]) -> None:
    holder, noun = holders(make_model)[name]
    with pytest.raises(UsageError, match=f"a {noun} cannot be pickled or copied.*make a {noun} there"):
        take(holder)
