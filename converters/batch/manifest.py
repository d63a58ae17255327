"""manifest.json: what was made of which model, with what, and what came of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from stn_rectify.converters.batch.staging import StagingFolder
from stn_rectify.models.files import sha256_of
from stn_rectify.runtime.errors import DataError

_NAME = "manifest.json"
_FORMAT = "stn-rectify-manifest/1"


@dataclass(frozen=True)
class OutputFile:
    """A file that was written.

    Attributes:
        sha256: of its content.
        bytes: its size.
    """

    sha256: str
    bytes: int


@dataclass(frozen=True)
class ModelRecord:
    """The entry of a model in the manifest.

    Attributes:
        source: the model, seen from the manifest's folder.
        source_sha256: of its content, and that of the refine network and its frames beside it, if there is one.
        fingerprint: of all that the result depends on.
        options: those that change the result.
        calibration: the frames as they were named.
        calibration_sha256: of their content.
        validation_sha256: of the content of the frames with known truth, if there were any.
        versions: of what it was converted with.
        result: ``"passed"`` or ``"failed"``.
        reason: why it failed.
        outputs: what was written, by name of the file.
        replaced_sha256: of the model file that was there before; it is ours, should this run be cut off here.
        seconds: how long it took.
        numbers: of the comparison in its report.
        doubts: why the network may be of no use, though its integers are proved.
        log: last lines of a process that failed.
    """

    source: str
    source_sha256: str | None
    fingerprint: str | None
    options: dict[str, Any]
    calibration: str
    calibration_sha256: str | None
    validation_sha256: str | None
    versions: dict[str, str]
    result: str
    reason: str | None
    outputs: dict[str, OutputFile]
    replaced_sha256: str | None = None
    seconds: float = 0.0
    numbers: dict[str, Any] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    log: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Tells whether the model was converted."""
        return self.result == "passed"

    def outputs_are_there(self, out: Path) -> bool:
        """Tells whether every output lies in ``out`` with the recorded content."""
        return all(_sha256_or_none(out / name) == output.sha256 for name, output in self.outputs.items())

    def wrote(self, file: Path) -> bool:
        """Tells whether a file is as this tool left it."""
        recorded = self.outputs.get(file.name)
        sha256 = _sha256_or_none(file)
        return sha256 is not None and sha256 in (recorded and recorded.sha256, self.replaced_sha256)


class Manifest:
    """The records of a folder, by name of the model; those of earlier runs stay.

    Raises:
        DataError: if there is a file of this name that is not a manifest.
    """

    def __init__(self, out: Path) -> None:
        self._file = out / _NAME
        self._records: dict[str, ModelRecord] = {}
        try:
            stored = json.loads(self._file.read_text(encoding="utf-8"))
            if stored["format"] != _FORMAT:
                raise ValueError(f"format {stored['format']!r}, expected {_FORMAT!r}")
            self._records = {name: _record(values) for name, values in stored["models"].items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{self._file} is not a manifest that can be read ({error}): move it away, then all is converted anew"
            ) from error

    def get(self, name: str) -> ModelRecord | None:
        """The record of a model."""
        return self._records.get(name)

    def put(self, name: str, record: ModelRecord, staging: StagingFolder) -> None:
        """Adds or replaces a record and writes the file.

        Raises:
            OSError: if it cannot be written.
        """
        self._records[name] = record
        models = {name: asdict(self._records[name]) for name in sorted(self._records)}
        staging.write(_NAME, json.dumps({"format": _FORMAT, "models": models}, indent=2, ensure_ascii=False) + "\n")


def output_files(files: Iterable[Path]) -> dict[str, OutputFile]:
    """Name, hash and size of files."""
    return {file.name: OutputFile(sha256_of(file), file.stat().st_size) for file in files}


def relative_source(source: Path, out: Path) -> str:
    """Gives the name of a source in the manifest of ``out``: a tree that is moved as a whole keeps its manifest."""
    return os.path.relpath(source.absolute(), out.absolute())


def _record(values: dict[str, Any]) -> ModelRecord:
    record = ModelRecord(**values)
    outputs = {name: OutputFile(**output) for name, output in values["outputs"].items()}
    return replace(record, outputs=outputs, doubts=tuple(record.doubts), log=tuple(record.log))


def _sha256_or_none(file: Path) -> str | None:
    try:
        return sha256_of(file)
    except OSError:
        return None
