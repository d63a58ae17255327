"""What is quoted of errors of other libraries."""

from __future__ import annotations

import pytest

from stn_rectify.runtime.errors import first_line

_TRACED = """in user code:

    File "theirs.py", line 3, in call  *
        return self.dense(x)

    ValueError: Input 0 is incompatible with the layer
"""


@pytest.mark.parametrize(
    ("said", "quoted"),
    [
        ("", "OSError"),
        ("\n  no such place  \nmore", "no such place"),
        (_TRACED, "ValueError: Input 0 is incompatible with the layer"),
    ],
)
def test_one_line_of_an_error(said: str, quoted: str) -> None:
    assert first_line(OSError(said)) == quoted
