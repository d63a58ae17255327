"""Each fault of injected.py a few times: it is survived as the table in the docs says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.injected import FAULTS

_SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "fault",
    [pytest.param(name, marks=() if name in ("model-truncated", "model-replaced") else _SLOW) for name in FAULTS],
)
def test_a_fault_is_survived(fault: str, tmp_path: Path) -> None:
    row = FAULTS[fault](tmp_path, 2, 0)
    assert row.observed
