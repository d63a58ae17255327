"""A minute of soak.py: what a long run holds does not grow."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.soak import Held, grown, soak

pytest.importorskip("aiohttp", reason="the extra web is not installed")


@pytest.mark.slow
def test_a_run_with_all_outputs_holds_no_more_at_its_end(tmp_path: Path) -> None:
    held = soak(tmp_path, 60.0, "fast", say=False)
    assert held[-1].frames > held[0].frames
    assert not grown(held)


def test_growth_is_seen() -> None:
    held = [Held(number, 90.0 + 2 * number, 20 + number, 7) for number in range(20)]
    assert grown(held) == "memory, files"
    assert not grown([Held(number, 90.0, 20, 7) for number in range(20)])
