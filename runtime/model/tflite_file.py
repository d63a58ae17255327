"""A .tflite file: a bundled one found by its name, the content read, the zip archive at its end opened.

Models and recognizers differ in what is said of a file that is none of theirs: that is their `TfliteKind`.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from stn_rectify.runtime.errors import DataError, ModelFileError

__all__ = ["MAX_TEXT_BYTES", "TfliteKind", "unaltered_flatbuffer"]

#: No text in an archive is longer.
MAX_TEXT_BYTES = 1 << 20

_BUNDLED = Path(__file__).parents[1] / "data"
_MAX_BYTES = 256 << 20


@dataclass(frozen=True)
class TfliteKind:
    """A kind of file: what it is called, and the words for one that is wrong.

    Attributes:
        noun: what messages call the file.
        suffix: of bundled files, behind their name.
        folder: message about a folder, ``{path}``.
        wrong_size: message about a file too small or too large, ``{path}`` of ``{size}`` bytes.
        other_format: message about a file of another format, ``{path}``.
        archive: what messages call the archive at its end.
        long_text: message about a file in that archive, ``{name}`` of more than ``{limit}`` bytes.
    """

    noun: str
    suffix: str
    folder: str
    wrong_size: str
    other_format: str
    archive: str
    long_text: str

    def bundled(self) -> tuple[str, ...]:
        """The names of the files that come with the package, sorted."""
        names = (path.name.removesuffix(self.suffix) for path in _BUNDLED.glob(f"*{self.suffix}"))
        return tuple(sorted(name for name in names if "." not in name))

    def locate(self, file: str | PathLike[str]) -> Path:
        """The path of a file, which may be given by the bare name of a bundled one.

        Raises:
            ModelFileError: if it is a bare name that no bundled file has.
        """
        path = Path(file)
        if isinstance(file, str) and file and path.name == file and not path.suffix:
            path = _BUNDLED / f"{file}{self.suffix}"
            if not os.path.isfile(path):
                names = ", ".join(self.bundled()) or "none"
                raise ModelFileError(
                    f"no bundled {self.noun} {file!r} (bundled: {names}): give one of these names, or a path such as "
                    f"./{file}.tflite"
                )
        return path

    def read(self, path: Path) -> bytes:
        """The whole content, archive included.

        Raises:
            ModelFileError: if the file cannot be read, or it is not in TensorFlow Lite's format.
        """
        try:
            size = path.stat().st_size
            if path.is_dir():
                raise ModelFileError(self.folder.format(path=path))
            if not 8 <= size <= _MAX_BYTES:
                raise ModelFileError(self.wrong_size.format(path=path, size=size))
            content = path.read_bytes()
        except FileNotFoundError:
            raise ModelFileError(f"{self.noun} file {path} does not exist: check the path") from None
        except OSError as error:
            raise ModelFileError(f"cannot read the {self.noun} file {path}: {error.strerror}") from error
        if content[4:8] != b"TFL3":
            raise ModelFileError(self.other_format.format(path=path))
        return content

    def texts(self, content: bytes, wanted: Callable[[zipfile.ZipFile], Iterable[zipfile.ZipInfo]]) -> dict[str, bytes]:
        """Files of the archive at the end of a content, by name.

        Args:
            content: of `read`.
            wanted: picks them.

        Raises:
            BadZipFile: if there is no archive, or none that makes sense.
            DataError: if the archive is damaged, or one of the files is too long.
        """
        texts = {}
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for entry in wanted(archive):
                    if entry.file_size > MAX_TEXT_BYTES:
                        raise DataError(self.long_text.format(name=entry.filename, limit=MAX_TEXT_BYTES))
                    texts[entry.filename] = archive.read(entry)
        except (zlib.error, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
            raise self.damaged(error) from None
        return texts

    def damaged(self, error: Exception) -> DataError:
        """Says that the archive is damaged."""
        return DataError(f"its {self.archive} is damaged ({error}): copy the file again")


def unaltered_flatbuffer(content: bytes, size: int, sha256: str) -> bytes:
    """The flatbuffer without the archive, exactly as it was written.

    Args:
        content: of `TfliteKind.read`.
        size: of the flatbuffer, bytes, from the metadata.
        sha256: of the flatbuffer, hexadecimal, from the metadata.

    Raises:
        DataError: if the flatbuffer is not what was written.
    """
    flatbuffer = content[:size]
    if hashlib.sha256(flatbuffer).hexdigest() != sha256:
        raise DataError("its content does not match the SHA-256 in its metadata, it was altered: copy it again")
    return flatbuffer
