"""A minute of soak.py: what a long run holds does not grow."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.soak import soak

pytest.importorskip("aiohttp", reason="the extra web is not installed")


@pytest.mark.slow
def test_a_run_with_all_outputs_holds_no_more_at_its_end(tmp_path: Path) -> None:
    first, last = soak(tmp_path, 60.0, "fast", say=False)
    assert last.frames > first.frames
    assert last.resident_mb < first.resident_mb + 10
    assert last.files <= first.files + 2
    assert last.threads <= first.threads + 1
