"""The API reference builds from the docstrings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import stn_rectify.runtime


def test_the_reference_shows_every_public_name_of_the_runtime(tmp_path: Path) -> None:
    pytest.importorskip("pdoc", reason="the extra dev builds the reference")
    command = [sys.executable, "-m", "pdoc", "-o", str(tmp_path), "--docformat", "google", "stn_rectify.runtime"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""  # a warning is about a name or an annotation that the page cannot show
    page = (tmp_path / "stn_rectify" / "runtime.html").read_text(encoding="utf-8")
    for name in stn_rectify.runtime.__all__:
        assert f'<section id="{name}">' in page, name
