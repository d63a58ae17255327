"""What threads and forked processes share: objects that one thread at a time may use, and their state in a child.

A lock that a thread of the parent holds stays locked for ever in a forked child, and a pool of threads that a library
has started is not there any more. `ForkAware` objects are told of it, in the child, before anything else runs there.
"""

from __future__ import annotations

import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Generic, NoReturn, TypeVar

from stn_rectify.runtime.errors import UsageError

_Held = TypeVar("_Held")

_known: weakref.WeakSet[ForkAware] = weakref.WeakSet()
_is_registered = False


class ForkAware(ABC):
    """An object that is told when it finds itself in a forked child. Its constructor must be called."""

    def __init__(self) -> None:
        global _is_registered
        if not _is_registered and hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
            os.register_at_fork(after_in_child=_tell_all)
        _is_registered = True
        _known.add(self)

    @abstractmethod
    def forked(self) -> None:
        """This is the child; it has the one thread that forked, and a copy of everything else."""


def _tell_all() -> None:
    for known in list(_known):
        known.forked()


class OneAtATime(ForkAware, Generic[_Held]):
    """Lets one thread at a time use what an object holds, until it is closed.

    Args:
        noun: what messages call the object, such as ``"Rectifier"``.
        held: what it holds.
        blocking: whether another thread waits for its turn; else it gets an error.
    """

    def __init__(self, noun: str, held: _Held, *, blocking: bool) -> None:
        super().__init__()
        self._noun, self._blocking = noun, blocking
        self._held: _Held | None = held
        self._lock, self._user = threading.Lock(), 0

    @property
    def is_closed(self) -> bool:
        """Tells whether what was held has been let go."""
        return self._held is None

    @contextmanager
    def turn(self) -> Iterator[_Held]:
        """One thread's turn to use what is held, for the length of the block.

        Raises:
            UsageError: if it is another thread's turn and none waits, if this thread has its turn already, or after
                `close`.
        """
        with self._locked():
            if self._held is None:
                raise UsageError(f"this {self._noun} is closed: make a new one")
            yield self._held

    def close(self) -> None:
        """Lets what is held go, in a turn of its own. Closing twice does no harm.

        Raises:
            UsageError: as for `turn`, but for a second `close`.
        """
        with self._locked():
            self._held = None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        me = threading.get_ident()
        if self._user == me:  # a signal handler, say: it would wait for itself
            raise UsageError(f"this {self._noun} is in use by this very thread, which may not use it within that use")
        if not self._lock.acquire(blocking=self._blocking):
            raise UsageError(
                f"this {self._noun} is in use by another thread: leave blocking=False out, and threads take turns, or "
                f"give each thread a {self._noun} of its own"
            )
        self._user = me
        try:
            yield
        finally:
            self._user = 0
            self._lock.release()

    def forked(self) -> None:
        """Nobody in the child uses the object."""
        self._lock, self._user = threading.Lock(), 0


class NotCopied:
    """An object that lives in one process: `pickle` and `copy` say what to do instead.

    A forked child may use what its parent has made; `multiprocessing`'s other ways to start a process pickle what they
    hand over.
    """

    def __reduce_ex__(self, _: Any) -> NoReturn:
        name = type(self).__name__
        raise UsageError(
            f"a {name} cannot be pickled or copied, it holds a network of this process: hand over what it is made of "
            f"(model and options), and make a {name} there, such as in the initializer of a process pool"
        )
