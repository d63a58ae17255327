"""One line of ``stn-rectify doctor``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Check", "Status"]

#: A warning is something that may be meant so, a problem something that keeps the command from its work.
Status = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Check:
    """What was examined, how it is, and what to do about it; `str` gives the line.

    Attributes:
        name: of what was examined.
        status: how it is.
        found: what was found.
        mend: what to do; empty where all is well.
    """

    name: str
    status: Status
    found: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.status:<7}  {self.name}: {self.found}" + (f": {self.mend}" if self.mend else "")
