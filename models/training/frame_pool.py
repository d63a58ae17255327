"""Synthesised frames for training, made once and kept on disk."""

from __future__ import annotations

import json
import math
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.lib.format import open_memmap

from stn_rectify.models.files import partial_file
from stn_rectify.models.progress import Progress
from stn_rectify.models.synthesis import FrameSynthesiser
from stn_rectify.runtime.arrays import Array, FloatArray
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import pixels_to_normalised, transform_points

_CHUNK = 200
_FRAME_SIZE = (320, 240)
_EMPTY_SHARE = 0.2


class FramePool:
    """Synthesised frames in a folder: memory-mapped, resumable, the same for the same arguments.

    Frames are stored stretched to a square of ``size`` pixels, so that a network's input is a plain reduction of them.

    Args:
        folder: the folder of the pool; it is made when missing and may be deleted when training is over.
        count: number of frames in the pool.
        size: side of the stored frames, pixels.
        seed: seed of the synthesiser.
        backgrounds: folder of photographs, or None.
        targets: folder of upright pictures of the only targets, or None.
        jobs: number of processes that synthesise.

    Attributes:
        frames: uint8 [N, size, size, 3] BGR.
        corners: float32 [N, 4, 2], normalised; NaN where there is no target.
        scan_poses: float64 [N, 3, 3], the poses that a scan network gives the frames
            (`stn_rectify.models.training.scan_poses`); None if no scan network is used.

    Raises:
        DataError: if the folder holds other or damaged frames, or they cannot be synthesised or written.
    """

    scan_poses: FloatArray | None = None

    def __init__(
        self,
        folder: Path,
        *,
        count: int,
        size: int,
        seed: int,
        backgrounds: Path | None = None,
        targets: Path | None = None,
        jobs: int = 1,
    ) -> None:
        self.folder = folder
        self._synthesiser = FrameSynthesiser(
            seed=seed,
            frame_size=_FRAME_SIZE,
            backgrounds=backgrounds,
            targets=targets,
            empty_fraction=_EMPTY_SHARE,
        )
        self._size, self._count, self._jobs = size, count, jobs
        self._recipe = {
            "count": count,
            "size": size,
            "seed": seed,
            "backgrounds": str(backgrounds.resolve()) if backgrounds else None,
            "targets": str(targets.resolve()) if targets else None,
        }
        self._state_file = folder / "pool.json"
        if not self._state_file.exists():
            self._allocate()
        done = self._read_done()
        self.frames, self.corners = self._open("frames.npy"), self._open("corners.npy")
        todo = [first for first in range(0, count, _CHUNK) if first not in done]
        if todo:
            self._synthesise(done, todo)

    def __len__(self) -> int:
        return self._count

    def _allocate(self) -> None:
        """Makes the files at their full size: on a full disk, writing to a memory map would kill the process."""
        arrays: dict[str, tuple[Any, tuple[int, ...]]] = {
            "frames.npy": (np.uint8, (self._count, self._size, self._size, 3)),
            "corners.npy": (np.float32, (self._count, 4, 2)),
        }
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, (dtype, shape) in arrays.items():
                open_memmap(self.folder / name, "w+", dtype, shape)
                with (self.folder / name).open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
        except OSError as error:
            for name in arrays:
                with suppress(OSError):
                    (self.folder / name).unlink(missing_ok=True)
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
            recipe = {key: state[key] for key in self._recipe}
            done = [int(first) for first in state["done"]]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"{self._state_file} is damaged ({error!r}): delete the folder {self.folder} to start anew"
            ) from error
        if recipe != self._recipe:
            raise DataError(f"{self.folder} holds frames made with other settings: delete it or choose another --out")
        return done

    def _open(self, name: str) -> Array:
        try:
            array: Array = np.load(self.folder / name, mmap_mode="r")
        except (OSError, EOFError, ValueError) as error:
            raise DataError(
                f"{self.folder / name} cannot be read ({error}): delete the folder {self.folder} to start anew"
            ) from error
        return array

    def _synthesise(self, done: list[int], todo: list[int]) -> None:
        """Synthesises the chunks that are missing; a second run goes on where the first was stopped."""
        jobs = [(self.folder, first, min(first + _CHUNK, self._count), self._size) for first in todo]
        missing = sum(last - first for _, first, last, _ in jobs)
        # Forking a process that runs TensorFlow's threads can hang the child.
        with (
            ProcessPoolExecutor(self._jobs, get_context("spawn"), _start_worker, (self._synthesiser,)) as pool,
            Progress("synthesising", self._count, self._count - missing, "frame") as progress,
        ):
            try:
                for (_, first, last, _), _ in zip(jobs, pool.map(_synthesise_chunk, jobs), strict=True):
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
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


# A worker's own synthesiser, for all its chunks: it takes seconds to paint its first textures.
_worker_synthesiser: FrameSynthesiser


def _start_worker(synthesiser: FrameSynthesiser) -> None:
    global _worker_synthesiser
    _worker_synthesiser = synthesiser
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's business
    cv2.setNumThreads(1)


def _synthesise_chunk(job: tuple[Path, int, int, int]) -> None:
    folder, first, last, size = job
    frames = np.load(folder / "frames.npy", mmap_mode="r+")
    corners = np.load(folder / "corners.npy", mmap_mode="r+")
    to_normalised = pixels_to_normalised(*_FRAME_SIZE)
    for index in range(first, last):
        sample = _worker_synthesiser(index)
        frames[index] = cv2.resize(sample.frame, (size, size), interpolation=cv2.INTER_AREA)
        corners[index] = np.nan if sample.corners is None else transform_points(to_normalised, sample.corners)
    frames.flush()
    corners.flush()
