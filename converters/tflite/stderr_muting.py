"""Standard error without what TensorFlow's C++ writes there, past every logger and `sys.stderr`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["muted_stderr"]

_STDERR = 2


@contextmanager
def muted_stderr() -> Iterator[None]:
    """Nothing that this process writes to standard error in the block is seen; not even by the file's number."""
    sys.stderr.flush()
    kept = os.dup(_STDERR)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), _STDERR)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, _STDERR)
            os.close(kept)
