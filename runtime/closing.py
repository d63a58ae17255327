"""What is opened is closed: at the end of a ``with`` block, or by `close`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeVar

_Self = TypeVar("_Self", bound="Closing")


class Closing(ABC):
    """A context manager that lets its resource go at the end of the block."""

    @abstractmethod
    def close(self) -> None:
        """Lets the resource go. Closing twice does no harm."""

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
