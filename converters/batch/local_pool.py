"""Several conversions at a time on this machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

from stn_rectify.converters.batch.isolated_conversion import ConversionProcess, IsolatedConversion
from stn_rectify.converters.batch.jobs import FinishedModel, ModelJob
from stn_rectify.runtime.process.cores import usable_cores

_BYTES_A_PROCESS = 2_000_000_000
_POLL_S = 0.2


def default_processes() -> int:
    """Gives the number of conversions at a time that this machine has cores and memory for.

    A conversion keeps about one core busy, and takes 0.7 GB with a small model and twelve frames; 2 GB are reckoned.
    """
    cores = usable_cores()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(cores, memory // _BYTES_A_PROCESS))


class LocalPool:
    """Converts ``processes`` models at a time.

    A thread waits for each conversion; the work itself is in the processes. A process that has converted one
    model, whatever came of it, takes the next; where it has died, another is started.
    """

    def __init__(self, processes: int) -> None:
        self._executor = ThreadPoolExecutor(processes, thread_name_prefix="conversion")
        self._running: set[IsolatedConversion] = set()
        self._resting: list[ConversionProcess] = []
        self._lock = threading.Lock()
        self._closed = False

    def run(self, jobs: Iterable[ModelJob]) -> Iterator[FinishedModel]:
        """Converts the models and gives each as it is finished."""
        pending = {self._executor.submit(self._convert, job) for job in jobs}
        while pending:
            # A limit: Python sees a signal that comes as a wait begins only when the wait is over.
            done, pending = wait(pending, _POLL_S, FIRST_COMPLETED)
            for future in done:
                finished = future.result()
                if finished is not None:
                    yield finished

    def close(self) -> None:
        """Ends the processes."""
        with self._lock:
            self._closed = True
            for conversion in self._running:
                conversion.kill()
        self._executor.shutdown(wait=True, cancel_futures=True)
        for process in self._resting:
            process.close()

    def _convert(self, job: ModelJob) -> FinishedModel | None:
        with self._lock:
            if self._closed:
                return None
            process = self._process(job)
            conversion = IsolatedConversion(
                job.source,
                job.options,
                job.staging,
                folder=Path.cwd(),
                out=job.out,
                process=process,
            )
            self._running.add(conversion)
        with conversion:
            conversion.wait()
            with self._lock:
                self._running.discard(conversion)
                self._resting.append(process)
            return FinishedModel(job, conversion.result(), conversion.files())

    def _process(self, job: ModelJob) -> ConversionProcess:
        """One at rest that lives, else a new one."""
        while self._resting:
            process = self._resting.pop()
            if process.is_alive:
                return process
            process.close()
        return ConversionProcess(job.staging, job.staging / "log.txt")
