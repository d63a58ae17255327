"""A .tflite file: a bundled one found by its name, the content read, the zip archive at its end opened.

Models and recognizers differ in what is said of a file that is none of theirs: that is their `TfliteKind`.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from stn_rectify.runtime.checks import check_path, check_text
from stn_rectify.runtime.errors import DataError, ModelFileError, UsageError, shown
from stn_rectify.runtime.files import open_file
from stn_rectify.runtime.model.limits import ModelLimits

#: No text in an archive is longer.
MAX_TEXT_BYTES = 1 << 20
#: What the name of a file has behind it that holds its SHA-256, as ``sha256sum NAME > NAME.sha256`` writes it.
SHA256_SUFFIX = ".sha256"

_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
# ``DIGITS  NAME`` or ``DIGITS *NAME``, with a backslash in front where the name is escaped; ``--tag``: ``SHA256 (NAME)
# = DIGITS``; or the digits alone.
_SHA256_LINE = re.compile(r"\\?([0-9A-Fa-f]{64})(?:[ \t]+[ *]?(.*))?|\\?SHA256 \((.*)\) = ([0-9A-Fa-f]{64})")

# Zip archives end with a record of 22 bytes and a comment: signature, …, bytes of the list of files, its place, ….
_END_OF_ZIP, _END_OF_ZIP_BYTES, _MAX_COMMENT_BYTES = b"PK\5\6", 22, 0xFFFF
_ZIP64_LOCATOR, _ZIP64_LOCATOR_BYTES = b"PK\6\7", 20

_BUNDLED = Path(__file__).parents[1] / "data"
#: What bundled files were called before, and a configuration may still say.
_FORMER_NAMES = {"scenes": "general"}
_MAX_BYTES = 256 << 20
_PIECE_BYTES = 1 << 16  # of a text that is unpacked


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

    def is_bundled(self, path: Path) -> bool:
        """Tells whether a file is one that comes with the package."""
        return path.parent == _BUNDLED

    def locate(self, file: str | PathLike[str]) -> Path:
        """The path of a file, which may be given by the bare name of a bundled one.

        Raises:
            ModelFileError: if it is a bare name that no bundled file has.
            UsageError: if it is no path.
        """
        file = check_path(self.noun, file)
        path = Path(file)
        if isinstance(file, str) and file and path.name == file and not path.suffix:
            path = _BUNDLED / f"{_FORMER_NAMES.get(file, file)}{self.suffix}"
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

    def is_as_told(self, path: Path, content: bytes, sha256: str | None = None) -> bool:
        """Checks a whole file against the SHA-256 that is known of it: one that the caller gives, or a file beside it.

        Args:
            path: of the file.
            content: of `read`.
            sha256: 64 hexadecimal digits; None for those of the file ``NAME.tflite.sha256`` beside it, if there is one.

        Returns:
            Whether there was a SHA-256 to check it against.

        Raises:
            ModelFileError: if the file is another one, or the one beside it cannot be read.
            UsageError: if what the caller gives is no SHA-256.
        """
        source = "the given SHA-256"
        if sha256 is None:
            beside = path.with_name(path.name + SHA256_SUFFIX)
            sha256, source = _told_beside(beside, path.name), str(beside)
            if sha256 is None:
                return False
        elif not _SHA256.fullmatch(check_text("sha256", sha256)):
            raise UsageError(f"sha256 is {shown(sha256)}: must be 64 hexadecimal digits, as sha256sum prints them")
        actual = hashlib.sha256(content).hexdigest()
        if actual != sha256.lower():
            raise ModelFileError(
                f"{self.noun} file {path} is not the one that {source} tells of: its SHA-256 is {actual}, not "
                f"{sha256.lower()}: copy the file again"
            )
        return True

    def texts(
        self,
        content: bytes,
        wanted: Callable[[zipfile.ZipFile], Iterable[zipfile.ZipInfo]],
        limits: ModelLimits,
    ) -> dict[str, bytes]:
        """Files of the archive at the end of a content, by name.

        Args:
            content: of `read`.
            wanted: picks them.
            limits: how much of it is unpacked, whatever the archive says of itself.

        Raises:
            BadZipFile: if there is no archive, or none that makes sense.
            DataError: if the archive is damaged, or too much is in it.
        """
        texts: dict[str, bytes] = {}
        left = limits.archive_bytes
        if _bytes_of_list(content) > left:
            raise DataError(_too_much(f"the list of files in its {self.archive}", limits))
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for entry in wanted(archive):
                    if entry.file_size > MAX_TEXT_BYTES:
                        raise DataError(self.long_text.format(name=entry.filename, limit=MAX_TEXT_BYTES))
                    text = _unpacked(archive, entry, left)
                    if text is None:
                        raise DataError(_too_much(f"what its {self.archive} holds", limits))
                    texts[entry.filename], left = text, left - len(text)
        except (zlib.error, OSError, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error) as error:
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


def _told_beside(file: Path, name: str) -> str | None:
    """The SHA-256 of a file in the list that lies beside it; None if there is no list.

    Args:
        file: the list.
        name: of the file that it tells of.
    """
    try:
        with open_file(file) as opened:
            text = opened.read(MAX_TEXT_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelFileError(f"cannot read {file}: {error.strerror}: mend it, or take it away") from error
    found = [_SHA256_LINE.fullmatch(line.strip()) for line in text.splitlines() if line.strip()]
    told = [(line[2] or line[3] or "", line[1] or line[4]) for line in found if line is not None]
    named = [digits for other, digits in told if other.rpartition("/")[2] == name] or [digits for _, digits in told]
    if len(named) != 1 or None in found:
        raise ModelFileError(
            f"{file} does not say what the SHA-256 of {name} is: write it by sha256sum {name} > {file.name}, or take "
            "it away"
        )
    return named[0]


def _bytes_of_list(content: bytes) -> int:
    """How long the list of files in an archive is; Python's reader takes all of it into memory.

    Raises:
        BadZipFile: if there is no archive, or one of the kind for more than 4 GB.
    """
    place = content.rfind(_END_OF_ZIP, -_END_OF_ZIP_BYTES - _MAX_COMMENT_BYTES)
    if place < 0 or place + _END_OF_ZIP_BYTES > len(content):
        raise zipfile.BadZipFile("File is not a zip file")
    if content[:place][-_ZIP64_LOCATOR_BYTES:].startswith(_ZIP64_LOCATOR):
        raise zipfile.BadZipFile("it is made for more than 4 GB (zip64)")
    return int.from_bytes(content[place + 12 : place + 16], "little")


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int) -> bytes | None:
    """A file of an archive; None if it is longer than the limit, bytes, whatever the archive says of its length."""
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without a bound
        raise NotImplementedError(f"{entry.filename} is compressed by method {entry.compress_type}")
    text = b""
    with archive.open(entry) as packed:
        while piece := packed.read(_PIECE_BYTES):
            text += piece
            if len(text) > limit:
                return None
    return text


def _too_much(what: str, limits: ModelLimits) -> str:
    return (
        f"{what} is more than {limits.archive_bytes} bytes: give another file, or, if you trust this one, raise the "
        "limit: ModelLimits(archive_bytes=) (--max-archive-bytes)"
    )
