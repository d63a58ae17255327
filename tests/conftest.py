"""Fixtures for all tests."""

from __future__ import annotations

import os
import signal

import pytest

from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter, installed_packages


def pytest_configure() -> None:
    """Lets the programs that tests start end at Ctrl-C, also where a shell has started pytest in the background.

    Such a shell has it ignore SIGINT, and whatever it starts inherits that. A handler is not inherited: with one that
    does nothing, pytest goes on ignoring the signal, and its programs start with the default.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda number, frame: None)


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keeps what programs remember of models that tests have made out of the user's cache."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", params=installed_packages())
def interpreter(request):
    """Each installed interpreter, in a process without TensorFlow."""
    with IsolatedInterpreter(request.param) as isolated:
        yield isolated
