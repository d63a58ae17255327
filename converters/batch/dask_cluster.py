"""Conversions on the workers of a dask.distributed cluster."""

from __future__ import annotations

import logging
import queue
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stn_rectify.converters.batch.cluster_task import PackedFiles, pack_files
from stn_rectify.converters.batch.fingerprint import installed_versions
from stn_rectify.converters.batch.jobs import FinishedModel, ModelJob, ModelResult
from stn_rectify.converters.reading.calibration import CALIBRATION_FRAMES, VALIDATION_FRAMES, frame_files
from stn_rectify.converters.reading.model_files import companion_files
from stn_rectify.runtime.errors import StnRectifyError, UsageError, first_line
from stn_rectify.runtime.process.installation import install_command

if TYPE_CHECKING:
    from stn_rectify.converters.batch.cluster_task import ClusterResult

_CONNECT_S = 5.0
_LOOK_S = 1.0
_MOST_IN_FLIGHT = 64  # models that the scheduler keeps in memory at a time


class DaskCluster:
    """Sends models as bytes and gets files back, so that nothing but the connection is shared.

    Only this side gives files their names: a model whose worker died is converted again elsewhere, yet published once.

    Args:
        address: ``tcp://host:port`` (or ``tls://…``) of the scheduler.
        tell: for a line that a person should see.

    Raises:
        StnRectifyError: if the package is not installed.
        UsageError: if the scheduler cannot be reached.
    """

    def __init__(self, address: str, tell: Callable[[str], None]) -> None:
        try:
            import distributed
        except ImportError:
            raise StnRectifyError(
                f"--scheduler needs dask.distributed: {install_command('train', 'distributed')}"
            ) from None
        for logger in ("distributed", "distributed.client"):
            logging.getLogger(logger).setLevel(logging.CRITICAL + 1)  # what matters of it is said in one line
        self._address, self._tell = address, tell
        self._run = uuid.uuid4().hex[:8]
        self._no_workers = False
        self._frames: dict[tuple[Path, int], str] = {}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of versions: the workers check those that matter
                open_client: Any = distributed.Client  # without annotations
                self._client = open_client(address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"no Dask scheduler answers at {address} within {_CONNECT_S:.0f} s ({first_line(error)}): "
                "start one with `dask scheduler`, or check host and port"
            ) from error

    def run(self, jobs: Iterable[ModelJob]) -> Iterator[FinishedModel]:
        """Converts the models and gives each as it is finished."""
        waiting = iter(jobs)
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        running: dict[Any, tuple[ModelJob, Any]] = {}
        while True:
            while len(running) < _MOST_IN_FLIGHT and (job := next(waiting, None)) is not None:
                try:
                    model = _packed(job.source)
                    companions = tuple(pack_files(file, {}) for file in companion_files(job.source))
                except OSError as error:
                    reason = f"{error.filename or job.source} cannot be read: {error.strerror or error}"
                    yield FinishedModel(job, ModelResult(False, reason), ())
                    continue
                future = self._submit(job, model, companions)
                running[future.key] = (job, future)
                future.add_done_callback(done.put)
            if not running:
                return
            try:
                finished = done.get(timeout=_LOOK_S)
            except queue.Empty:
                self._look_for_workers(len(running))
                continue
            job, future = running.pop(finished.key)
            yield self._finished(job, future)
            future.release()

    def close(self) -> None:
        """Leaves the cluster; its workers end what they still do for this run."""
        with suppress(Exception):  # of a connection that is lost
            for name in self._frames.values():
                self._client.unregister_worker_plugin(name)
        with suppress(Exception):
            self._client.close(timeout=_CONNECT_S)

    def _submit(self, job: ModelJob, model: PackedFiles, companions: tuple[PackedFiles, ...]) -> Any:
        from stn_rectify.converters.batch.cluster_task import ClusterTask, convert_on_worker

        options = job.options
        calibration = self._sent_frames(options.calibration, CALIBRATION_FRAMES)
        validation = None if options.validation is None else self._sent_frames(options.validation, VALIDATION_FRAMES)
        task = ClusterTask(
            model, companions, job.source, options, calibration, validation, job.out, installed_versions()
        )
        with warnings.catch_warnings(), self._connection():
            warnings.simplefilter("ignore")  # of its size
            return self._client.submit(convert_on_worker, task, key=f"stn-convert-{self._run}-{job.name}")

    def _sent_frames(self, source: Path, limit: int) -> str:
        """Gives the frames to all workers, once; the name to find them by."""
        from stn_rectify.converters.batch.cluster_task import FramesPlugin

        if (source, limit) not in self._frames:
            name = f"stn-frames-{self._run}-{len(self._frames)}"
            files = frame_files(source, limit)
            outside = next((file for inside, file in files.items() if inside.startswith("..")), None)
            if outside is not None:
                raise UsageError(f"{source}: {outside} lies outside it: for a cluster give the folder that holds both")
            plugin = FramesPlugin(name, pack_files(source, files))
            with self._connection():
                self._client.register_plugin(plugin)
            self._frames[source, limit] = name
        return self._frames[source, limit]

    @contextmanager
    def _connection(self) -> Iterator[None]:
        """Turns what goes wrong while something is sent to the workers into an error of one line."""
        try:
            yield
        except OSError as error:
            raise self._lost_scheduler() from error
        except ImportError as error:
            raise _not_installed(error) from error

    def _lost_scheduler(self) -> StnRectifyError:
        return StnRectifyError(
            f"the Dask scheduler at {self._address} is gone: start it, then run the same command again to go on"
        )

    def _finished(self, job: ModelJob, future: Any) -> FinishedModel:
        from distributed.scheduler import KilledWorker

        if future.cancelled():
            raise self._lost_scheduler()
        error = future.exception()
        if isinstance(error, UsageError):
            raise error
        if isinstance(error, ImportError):
            raise _not_installed(error)
        if isinstance(error, KilledWorker):
            times, last = error.allowed_failures + 1, error.last_worker.address
            reason = f"its worker died, {times} times of {times} (the last was {last})"
            return FinishedModel(job, ModelResult(False, reason), ())
        if error is not None:
            reason = f"unexpected {type(error).__name__} on its worker: {first_line(error)}"
            return FinishedModel(job, ModelResult(False, reason), ())
        done: ClusterResult = future.result()
        return FinishedModel(job, done.result, tuple(_write_outputs(job.staging, done.files)))

    def _look_for_workers(self, unfinished: int) -> None:
        """Says when there is nobody to do the work."""
        try:
            no_workers = not self._client.nthreads()
        except Exception:  # OSError; AttributeError, if the client has closed itself: the futures say so
            return
        if no_workers and not self._no_workers:
            self._tell(
                f"no Dask workers at {self._address}: waiting for them (models to go: {unfinished}; Ctrl-C stops)"
            )
        elif self._no_workers and not no_workers:
            self._tell(f"workers came to {self._address}: going on")
        self._no_workers = no_workers


def _packed(model: Path) -> PackedFiles:
    files = {str(f.relative_to(model)): f for f in sorted(model.rglob("*")) if f.is_file()} if model.is_dir() else {}
    return pack_files(model, files)


def _not_installed(error: ImportError) -> StnRectifyError:
    return StnRectifyError(
        f"a Dask worker lacks what a conversion needs ({first_line(error)}): install stn-rectify with "
        "[train,distributed] on all machines, in this version"
    )


def _write_outputs(folder: Path, files: dict[str, bytes]) -> Iterator[Path]:
    for name, data in files.items():
        file = folder / Path(name).name
        file.write_bytes(data)
        yield file
