"""What is synthesised once and kept on disk: memory-mapped arrays in a folder, made in chunks, resumable."""

from __future__ import annotations

import json
import math
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.lib.format import open_memmap

from stn_rectify.models.files import partial_file
from stn_rectify.models.progress import Progress
from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.errors import DataError

_CHUNK = 200

#: Draws what belongs to an index: a value for each array of the pool. It is sent to other processes.
DrawItem = Callable[[int], Mapping[str, Any]]


class StoredPool(ABC):
    """Synthesised items in a folder, the same for the same arguments.

    Args:
        folder: the folder of the pool; it is made when missing and may be deleted when training is over.
        count: number of items.
        recipe: the settings that decide the items; a folder counts as its whole path.
        jobs: number of processes that synthesise.

    Raises:
        DataError: if the folder holds other or damaged items, or they cannot be synthesised or written.
    """

    def __init__(self, folder: Path, *, count: int, recipe: Mapping[str, Any], jobs: int = 1) -> None:
        self.folder = folder
        self._count, self._jobs = count, jobs
        settings = {name: str(value.resolve()) if isinstance(value, Path) else value for name, value in recipe.items()}
        self._recipe = {"count": count, **settings}
        self._state_file = folder / "pool.json"
        if not self._state_file.exists():
            self._allocate()
        done = self._read_done()
        todo = [first for first in range(0, count, _CHUNK) if first not in done]
        if todo:
            self._synthesise(done, todo)

    def __len__(self) -> int:
        return self._count

    @abstractmethod
    def array_shapes(self) -> Mapping[str, tuple[Any, tuple[int, ...]]]:
        """Dtype and shape of one item of each array; the arrays lie in files of these names."""

    @abstractmethod
    def drawer(self) -> DrawItem:
        """What draws the items."""

    def open_array(self, name: str) -> Array:
        """One of the arrays, [N, …], memory-mapped."""
        file = self._file(name)
        try:
            array: Array = np.load(file, mmap_mode="r")
        except (OSError, EOFError, ValueError) as error:
            raise DataError(
                f"{file} cannot be read ({error}): delete the folder {self.folder} to start anew"
            ) from error
        return array

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.npy"

    def _allocate(self) -> None:
        """Makes the files at their full size: on a full disk, writing to a memory map would kill the process."""
        arrays = {name: (dtype, (self._count, *shape)) for name, (dtype, shape) in self.array_shapes().items()}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, (dtype, shape) in arrays.items():
                open_memmap(self._file(name), "w+", dtype, shape)
                with self._file(name).open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
        except OSError as error:
            for name in arrays:
                with suppress(OSError):
                    self._file(name).unlink(missing_ok=True)
            need_mb = sum(np.dtype(dtype).itemsize * math.prod(shape) for dtype, shape in arrays.values()) / 1e6
            raise DataError(
                f"{self.folder}: cannot make the {need_mb:.0f} MB of frames ({error.strerror or error}): "
                "make room there, choose another --out, or give fewer --samples"
            ) from error
        self._write_done([])

    def _write_done(self, done: list[int]) -> None:
        with partial_file(self._state_file) as partial:
            partial.write_text(json.dumps({**self._recipe, "done": done}))

    def _read_done(self) -> list[int]:
        """First frame of each chunk that is there."""
        try:
            state = json.loads(self._state_file.read_text())
            # A setting of None may be younger than the file.
            recipe = {key: state[key] for key, value in self._recipe.items() if value is not None or key in state}
            done = [int(first) for first in state["done"]]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"{self._state_file} is damaged ({error!r}): delete the folder {self.folder} to start anew"
            ) from error
        if recipe != {key: value for key, value in self._recipe.items() if key in recipe}:
            raise DataError(f"{self.folder} holds frames made with other settings: delete it or choose another --out")
        return done

    def _synthesise(self, done: list[int], todo: list[int]) -> None:
        """Synthesises the chunks that are missing; a second run goes on where the first was stopped."""
        files = {name: self._file(name) for name in self.array_shapes()}
        jobs = [(files, first, min(first + _CHUNK, self._count)) for first in todo]
        missing = sum(last - first for _, first, last in jobs)
        others = set(active_children())
        # Forking a process that runs TensorFlow's threads can hang the child.
        with (
            ProcessPoolExecutor(self._jobs, get_context("spawn"), _start_worker, (self.drawer(),)) as pool,
            Progress("synthesising", self._count, self._count - missing, "frame") as progress,
        ):
            try:
                for (_, first, last), _ in zip(jobs, pool.map(_synthesise_chunk, jobs), strict=True):
                    done.append(first)
                    self._write_done(done)
                    progress.advance(last - first)
            except BrokenProcessPool as error:
                raise DataError(
                    "a process that synthesises frames was killed, perhaps for want of memory: "
                    "run the same command again with fewer --jobs"
                ) from error
            except OSError as error:
                raise DataError(
                    f"{self.folder}: frames cannot be written ({error.strerror or error}): "
                    "mend that, then run the same command again"
                ) from error
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for worker in set(active_children()) - others:  # what they are at takes minutes, and is not kept
                    worker.kill()
                    worker.join()
                raise


# A worker's own drawer, for all its chunks: it takes seconds to paint its first textures.
_worker_draw: DrawItem


def _start_worker(draw: DrawItem) -> None:
    global _worker_draw
    _worker_draw = draw
    for number in (signal.SIGINT, signal.SIGTERM):  # they reach the whole group, and are the main process's business
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_main_process, daemon=True).start()
    cv2.setNumThreads(1)


def _end_with_the_main_process() -> None:
    main = parent_process()
    if main is not None:
        main.join()
        os._exit(1)


def _synthesise_chunk(job: tuple[Mapping[str, Path], int, int]) -> None:
    files, first, last = job
    arrays = {name: np.load(file, mmap_mode="r+") for name, file in files.items()}
    for index in range(first, last):
        for name, value in _worker_draw(index).items():
            arrays[name][index] = value
    for array in arrays.values():
        array.flush()
