"""Fixtures for all tests."""

from __future__ import annotations

import pytest

from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter, installed_packages


@pytest.fixture(scope="session", params=installed_packages())
def interpreter(request):
    """Each installed interpreter, in a process without TensorFlow."""
    with IsolatedInterpreter(request.param) as isolated:
        yield isolated
