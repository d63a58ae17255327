"""Tables of cases of which a few are run by the quick command of the README, and all beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest


def quick_ones(cases: Mapping[str, object], *quick: str) -> list[Any]:
    """The cases for `pytest.mark.parametrize`, their names as ids, all but the quick ones marked as slow.

    Raises:
        AssertionError: if a quick one is no case.
    """
    assert set(quick) <= set(cases), f"no cases: {set(quick) - set(cases)}"
    return [
        pytest.param(case, id=name, marks=() if name in quick else pytest.mark.slow) for name, case in cases.items()
    ]
