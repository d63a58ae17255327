"""The work of a Dask worker: files packed as bytes in, bytes out, no file system in common with anybody."""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from distributed import Worker, WorkerPlugin, get_worker

from stn_rectify.converters.batch.fingerprint import installed_versions
from stn_rectify.converters.batch.isolated_conversion import IsolatedConversion
from stn_rectify.converters.batch.jobs import ModelResult
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.runtime.errors import UsageError


@dataclass(frozen=True)
class PackedFiles:
    """A file, or a folder of files, that a worker can put down again.

    Attributes:
        name: of the file or folder.
        is_folder: which of the two.
        data: the file's content, or a tar archive of the folder: names in it can be any bytes.
    """

    name: str
    is_folder: bool
    data: bytes = field(repr=False)

    def unpack(self, folder: Path) -> Path:
        """Writes it below ``folder``, which is made, and gives its path."""
        folder.mkdir(parents=True)
        path = folder / self.name
        if self.is_folder:
            path.mkdir()
            with tarfile.open(fileobj=io.BytesIO(self.data), encoding="utf-8", errors="surrogateescape") as archive:
                archive.extractall(path, filter="data")
        else:
            path.write_bytes(self.data)
        return path


def pack_files(source: Path, files: Mapping[str, Path]) -> PackedFiles:
    """Reads a file, or the files of a folder by their names in it.

    Raises:
        OSError: if a file cannot be read.
    """
    name = source.resolve().name
    if source.is_file():
        return PackedFiles(name, False, source.read_bytes())
    stream = io.BytesIO()
    with tarfile.open(
        fileobj=stream, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape"
    ) as archive:
        archive.dereference = True
        for inside, file in files.items():
            archive.add(file, inside, recursive=False)
    return PackedFiles(name, True, stream.getvalue())


_POLL_S = 0.5


@dataclass(frozen=True)
class ClusterTask:
    """One model for a worker.

    Attributes:
        model: the .keras file or SavedModel folder.
        companions: the files that belong beside it: its refine network, and what that is calibrated with.
        source: its path on the client; for messages and reports, as are all others.
        options: how to convert; the paths of frames are the client's, and stand for those of a `FramesPlugin`.
        calibration: name of the plugin with the frames.
        validation: of that with the validation frames, if there are any.
        out: where the client will put the outputs; for messages.
        versions: the client's, see `must_agree`.
    """

    model: PackedFiles
    companions: tuple[PackedFiles, ...]
    source: Path
    options: ConversionOptions
    calibration: str
    validation: str | None
    out: Path
    versions: dict[str, str]


@dataclass(frozen=True)
class ClusterResult:
    """The outcome that a worker gives back.

    Attributes:
        result: what came of the model.
        files: the outputs by name.
    """

    result: ModelResult
    files: dict[str, bytes] = field(repr=False)


class FramesPlugin(WorkerPlugin):
    """Puts frames down on every worker, those that come later, too; takes them away again when it is removed.

    As an argument of the tasks they would be somewhere, and Dask would rather queue a task there than send them to an
    idle worker.
    """

    def __init__(self, name: str, frames: PackedFiles) -> None:
        self.name, self._frames = name, frames

    def setup(self, worker: Worker) -> None:
        """Called by a worker."""
        self._frames.unpack(Path(worker.local_directory) / self.name)

    def teardown(self, worker: Worker) -> None:
        """Called by a worker."""
        shutil.rmtree(Path(worker.local_directory) / self.name, ignore_errors=True)


def must_agree(versions: dict[str, str]) -> dict[str, str | None]:
    """The versions in which client and workers must agree: a batch is made by one converter."""
    python = ".".join(versions["python"].split(".")[:2])
    return {"python": python, **{name: versions.get(name) for name in ("stn_rectify", "tensorflow")}}


def convert_on_worker(task: ClusterTask) -> ClusterResult:
    """Converts one model, in a process of its own as on one machine; the worker survives what that process does.

    Raises:
        UsageError: if the worker's versions are not the client's.
    """
    worker = get_worker()
    _check_versions(task.versions, worker)
    scratch = Path(worker.local_directory)
    calibration = _frames(scratch, task.calibration)
    validation = None if task.validation is None else _frames(scratch, task.validation)
    options = replace(task.options, calibration=calibration, validation=validation)
    shown = {calibration: task.options.calibration}
    if validation is not None and task.options.validation is not None:
        shown[validation] = task.options.validation
    folder = Path(tempfile.mkdtemp(prefix="conversion-", dir=scratch))
    try:
        source = task.model.unpack(folder / "model")
        shown[source] = task.source
        for companion in task.companions:
            (source.parent / companion.name).write_bytes(companion.data)
            shown[source.parent / companion.name] = task.source.parent / companion.name
        staging = folder / "staging"
        staging.mkdir()
        is_active = _activity_check(worker)
        with IsolatedConversion(source, options, staging, folder=folder, out=task.out, shown=shown) as conversion:
            while not conversion.wait(_POLL_S):
                if not is_active():
                    conversion.kill()  # the client has stopped, or is gone
            files = {file.name: _with_the_clients_paths(file, shown) for file in conversion.files()}
            return ClusterResult(conversion.result(), files)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _with_the_clients_paths(file: Path, shown: dict[Path, Path]) -> bytes:
    """Gives the content of an output; a report names the client's paths instead of the worker's."""
    data = file.read_bytes()
    if file.suffix in (".json", ".html"):
        for worker_path, client_path in shown.items():
            old, new = (str(path).encode("utf-8", "backslashreplace") for path in (worker_path, client_path))
            data = data.replace(old, new)
    return data


def _frames(scratch: Path, plugin: str) -> Path:
    (frames,) = (scratch / plugin).iterdir()
    return frames


def _check_versions(client_versions: dict[str, str], worker: Worker) -> None:
    client, installed = must_agree(client_versions), must_agree(installed_versions())
    differences = [
        f"{name} {installed[name] or 'missing'} instead of {client[name]}"
        for name in client
        if installed[name] != client[name]
    ]
    if differences:
        raise UsageError(
            f"worker {worker.address} has {', '.join(differences)}: install the same versions on all machines"
        )


def _activity_check(worker: Worker) -> Callable[[], bool]:
    key = worker.get_current_task()

    def is_active() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state != "cancelled"

    return is_active
