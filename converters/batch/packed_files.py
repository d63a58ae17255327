"""Files and folders as bytes, to travel to another machine."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


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
