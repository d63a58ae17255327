"""The processes that fill a pool import its module alone."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("pool", ["frame_pool", "scene_pool", "turn_pool"])
def test_a_pool_needs_no_keras(pool):
    module = f"stn_rectify.models.training.pools.{pool}"
    code = f"import sys, {module}; print(sorted({{'keras', 'tensorflow'}} & set(sys.modules)))"
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
