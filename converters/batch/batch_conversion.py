"""Converts many models: skips what is done, goes on after failures, leaves nothing half-written."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from stn_rectify.converters.batch.fingerprint import (
    fingerprint,
    installed_versions,
    options_summary,
    sha256_of_frames,
)
from stn_rectify.converters.batch.jobs import FinishedModel, ModelJob, ModelPool, ModelResult
from stn_rectify.converters.batch.manifest import Manifest, ModelRecord, output_files, relative_source
from stn_rectify.converters.batch.model_inputs import unusable_name
from stn_rectify.converters.batch.staging import StagingFolder
from stn_rectify.converters.batch.stop_signals import StopSignals
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.reading.calibration import CALIBRATION_FRAMES, VALIDATION_FRAMES
from stn_rectify.converters.reading.model_files import output_name, own_frames, own_options, sha256_of_model
from stn_rectify.models.files import sha256_of
from stn_rectify.runtime.errors import DataError, StnRectifyError, UsageError


@dataclass(frozen=True)
class ModelOutcome:
    """One model of a finished batch.

    Attributes:
        name: of the model.
        record: as in the manifest.
        skipped: whether it had been converted before and nothing has changed since.
        result: what its process said; None if none was started.
    """

    name: str
    record: ModelRecord
    skipped: bool = False
    result: ModelResult | None = field(default=None, repr=False)


def convert_batch(
    sources: Sequence[Path],
    out: Path,
    options: ConversionOptions,
    open_pool: Callable[[], ModelPool],
    *,
    force: bool = False,
    on_outcome: Callable[[ModelOutcome], None] = lambda outcome: None,
) -> list[ModelOutcome]:
    """Converts models, each in a process of its own, to ``out/NAME.*`` with ``out/manifest.json``.

    A model is skipped if the manifest says that it was converted from the same content (that of its refine network
    included) with the same frames, options and versions, and its files are as they were written. After Ctrl-C or a kill
    the same call goes on. Frames and labels of a recognizer are those beside it, if there are any (`own_options`).

    Args:
        sources: .keras files and SavedModel folders, of different names (`find_models`).
        out: folder for the results; made if missing.
        options: how to convert. Without ``overwrite`` a model file that the manifest does not know is not replaced.
        open_pool: where to convert (`LocalPool`, `DaskCluster`); called only if there is something to convert.
        force: convert unchanged models, too.
        on_outcome: called as each model is finished.

    Returns:
        The outcomes in the order of ``sources``.

    Raises:
        DataError: if the manifest, or frames that models share, cannot be read.
        UsageError: if ``out`` cannot be written, or another run is writing to it.
        KeyboardInterrupt: if SIGINT or SIGTERM came; no process is left, no file is half-written.
    """
    with StopSignals() as signals:
        frames = _Frames()
        if any(own_frames(source) is None for source in sources):  # without those that models share there is no batch
            frames.hashes(options)
        staging = StagingFolder(out)
        try:
            batch = _Batch(out, options, frames, Manifest(out), staging, signals, on_outcome)
            jobs = [job for source in sources if (job := batch.prepare(source, force)) is not None]
            if jobs:
                with closing(open_pool()) as pool:
                    for finished in pool.run(jobs):
                        with signals.held():
                            batch.finish(finished)
        except OSError as error:
            problem = f"cannot write {error.filename or out}: {error.strerror or error}"
            raise UsageError(f"{problem}; choose another --out or make room") from error
        finally:
            with signals.held():
                staging.remove()
    return [batch.outcomes[output_name(source)] for source in sources]


class _Frames:
    """Hashes of frames; each set is read once."""

    def __init__(self) -> None:
        self._sha256 = functools.cache(sha256_of_frames)

    def hashes(self, options: ConversionOptions) -> tuple[str, str | None]:
        """Of the calibration frames, and of those with known truth, if there are any.

        Raises:
            DataError: if there are none, or they cannot be read.
        """
        validation = options.validation
        calibration = self._sha256(options.calibration, CALIBRATION_FRAMES)
        return calibration, None if validation is None else self._sha256(validation, VALIDATION_FRAMES)


class _Batch:
    """The state of one call of `convert_batch`."""

    def __init__(
        self,
        out: Path,
        options: ConversionOptions,
        frames: _Frames,
        manifest: Manifest,
        staging: StagingFolder,
        signals: StopSignals,
        on_outcome: Callable[[ModelOutcome], None],
    ) -> None:
        self._out, self._options, self._frames = out, options, frames
        self._manifest, self._staging, self._signals, self._on_outcome = manifest, staging, signals, on_outcome
        self._versions = installed_versions()
        self._records: dict[str, ModelRecord] = {}  # of each model as it was found, nothing converted
        self.outcomes: dict[str, ModelOutcome] = {}

    def prepare(self, source: Path, force: bool) -> ModelJob | None:
        """Gives the job that converts a model; None if nothing is to be done, or the model has failed already."""
        name, options = output_name(source), self._options
        record = self._record(source, options)
        try:
            unusable = unusable_name(source, self._out)
            if unusable is not None:
                raise UsageError(unusable)
            options = own_options(source, options)
            record = self._records[name] = self._hashed(source, options)
        except StnRectifyError as error:
            self._fail(name, record, str(error))
            return None
        previous = self._manifest.get(name)
        target = self._out / f"{name}.tflite"
        if previous is not None and not force and self._is_done(previous, record):
            self._tell(ModelOutcome(name, previous, skipped=True))
            return None
        if target.exists() and not self._options.overwrite:
            if previous is None or not previous.wrote(target):
                self._fail(name, record, f"{target} exists: give --overwrite to replace it, or another --out")
                return None
            if previous.source != record.source:
                conflict = f"{target} was made from another model, {previous.source} (seen from {self._out})"
                self._fail(name, record, f"{conflict}: give --overwrite to replace it, or another --out")
                return None
        return ModelJob(name, source, options, self._out, self._staging.folder(name))

    def finish(self, finished: FinishedModel) -> None:
        """Records a result, then gives its files their final names, the model file last."""
        job, result = finished.job, finished.result
        if result.passed and not self._unchanged(job):
            reason = f"{job.source} changed while it was converted: run the same command again"
            result = replace(result, passed=False, reason=reason)
        target = self._out / f"{job.name}.tflite"
        previous = self._manifest.get(job.name)
        ours = previous is not None and previous.wrote(target)
        files = [file for file in finished.files if file.name != target.name]
        if result.passed:
            files += [file for file in finished.files if file.name == target.name]
        outputs = output_files(files)
        if not result.passed and not result.rejected:  # nothing is known of the model: all stays as it was
            files, outputs = [], {} if previous is None else previous.outputs
        record = replace(
            self._records[job.name],
            versions=result.versions,
            result="passed" if result.passed else "failed",
            reason=result.reason,
            outputs=outputs,
            replaced_sha256=sha256_of(target) if ours else None,
            seconds=result.seconds,
            numbers=result.numbers,
            doubts=result.doubts,
            log=() if result.passed else result.log,
        )
        # First the record: whatever happens from here on, the next run knows which files are ours.
        self._manifest.put(job.name, record, self._staging)
        if result.rejected and ours:
            target.unlink()  # beside a report of failure it would look as if it had passed
        for file in files:
            self._staging.publish(file)
        self._tell(ModelOutcome(job.name, record, result=result))

    def _is_done(self, previous: ModelRecord, record: ModelRecord) -> bool:
        return previous.passed and previous.fingerprint == record.fingerprint and previous.outputs_are_there(self._out)

    def _unchanged(self, job: ModelJob) -> bool:
        try:
            return sha256_of_model(job.source) == self._records[job.name].source_sha256
        except OSError:
            return False

    def _fail(self, name: str, record: ModelRecord, reason: str) -> None:
        """A model that no process was started for; what the manifest knows of files in ``out`` it goes on knowing."""
        record = replace(record, reason=reason)
        if self._manifest.get(name) is None:
            with self._signals.held():
                self._manifest.put(name, record, self._staging)
        self._tell(ModelOutcome(name, record))

    def _hashed(self, source: Path, options: ConversionOptions) -> ModelRecord:
        """The record of a model and its frames, which can be read."""
        try:
            sha256 = sha256_of_model(source)
        except OSError as error:
            raise DataError(f"{source} cannot be read: {error.strerror or error}") from error
        calibration, validation = self._frames.hashes(options)
        return replace(
            self._record(source, options),
            source_sha256=sha256,
            fingerprint=fingerprint(sha256, calibration, validation, options, self._versions),
            calibration_sha256=calibration,
            validation_sha256=validation,
        )

    def _record(self, source: Path, options: ConversionOptions) -> ModelRecord:
        return ModelRecord(
            source=relative_source(source, self._out),
            source_sha256=None,
            fingerprint=None,
            options=options_summary(options),
            calibration=str(options.calibration),
            calibration_sha256=None,
            validation_sha256=None,
            versions=self._versions,
            result="failed",
            reason=None,
            outputs={},
        )

    def _tell(self, outcome: ModelOutcome) -> None:
        self.outcomes[outcome.name] = outcome
        self._on_outcome(outcome)
