"""Fixtures for all tests."""

from __future__ import annotations

import importlib.util

import pytest

from stn_rectify.converters.isolated_interpreter import IsolatedInterpreter

#: Distribution and module of each interpreter.
PACKAGES = {"tflite-runtime": "tflite_runtime", "ai-edge-litert": "ai_edge_litert"}


@pytest.fixture(scope="session", params=[p for p, module in PACKAGES.items() if importlib.util.find_spec(module)])
def interpreter(request):
    """Each installed interpreter, in a process without TensorFlow."""
    with IsolatedInterpreter(request.param) as isolated:
        yield isolated
