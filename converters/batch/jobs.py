"""One model of a batch: the job, and its result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from stn_rectify.converters.options import ConversionOptions


@dataclass(frozen=True)
class ModelJob:
    """A model to convert.

    Attributes:
        name: its outputs are called ``NAME.*``.
        source: .keras file or SavedModel folder.
        options: how.
        out: the folder where the outputs will be in the end; named in messages only.
        staging: a folder of its own to work in.
    """

    name: str
    source: Path
    options: ConversionOptions
    out: Path
    staging: Path


@dataclass(frozen=True)
class ModelResult:
    """The result of converting one model.

    Attributes:
        passed: whether it was converted and passed its proof and the thresholds.
        reason: why not, in one line.
        rejected: whether it was converted, but its report says that it did not pass.
        line: one line for a person, if it passed.
        details: its cost and its proof, if it passed.
        warnings: of its report.
        doubts: why the network may be of no use, though its integers are proved; some of the warnings.
        numbers: of the comparison in its report.
        seconds: how long it took.
        versions: of what it was converted with.
        log: the last lines that the process wrote.
    """

    passed: bool
    reason: str | None = None
    rejected: bool = False
    line: str = ""
    details: str = ""
    warnings: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    numbers: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    log: tuple[str, ...] = ()


@dataclass(frozen=True)
class FinishedModel:
    """A job that ended, however.

    Attributes:
        job: what was to be done.
        result: what came of it.
        files: what was written, in a staging folder on this machine.
    """

    job: ModelJob
    result: ModelResult
    files: tuple[Path, ...]


class ModelPool(Protocol):
    """The place where models are converted: processes of this machine, or a cluster."""

    def run(self, jobs: Iterable[ModelJob]) -> Iterator[FinishedModel]:
        """Converts the models and gives each as it is finished, in any order."""

    def close(self) -> None:
        """Stops what still runs; at its return nothing does, on this machine."""
