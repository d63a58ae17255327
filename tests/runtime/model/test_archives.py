"""The archive at a file's end: what it may unpack to, whatever it says of itself; and the SHA-256 beside a file."""

from __future__ import annotations

import hashlib
import io
import os
import re
import resource
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stn_rectify.runtime import ModelFile, ModelFileError, ModelLimits, Recognizer, StnRectifyWarning, UsageError
from stn_rectify.runtime.recognition.recognizer_file import RecognizerFile

#: The bundled recognizer without its archive, and so without a SHA-256.
FLATBUFFER = RecognizerFile.open("digits").flatbuffer
CLASSES = RecognizerFile.open("digits").classes
MEGABYTE = b"x" * 1_000_000


def with_archive(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    content.write(FLATBUFFER)
    with zipfile.ZipFile(content, "a", method) as archive:
        for name, text in files:
            archive.writestr(name, text)
    return content.getvalue()


def lying(content: bytes, true: int, said: int) -> bytes:
    """The archive with another length for its files, in both places where it stands."""
    return content.replace(struct.pack("<I", true), struct.pack("<I", said))


BOMBS = {
    "many files": with_archive(*((f"a{k}.txt", MEGABYTE) for k in range(8)), ("labels.txt", b"0\n1\n")),
    "a file larger than it says": lying(with_archive(("labels.txt", MEGABYTE * 40)), 40 * len(MEGABYTE), 1000),
    "a long file": with_archive(("labels.txt", MEGABYTE * 2)),
    "another method": with_archive(("labels.txt", MEGABYTE), method=zipfile.ZIP_BZIP2),
    "a long list of files": with_archive(*((f"{'n' * 60_000}{k}", b"") for k in range(70))),
}


@contextmanager
def memory_for(megabytes: int) -> Iterator[None]:
    """Lets this process have so much more memory than it has, and no more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + megabytes * 2**20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a file larger than it says", "archive of labels is damaged"),
        ("a long file", "a text in its archive is larger than 1048576 bytes"),
        ("another method", "compressed by method 12"),
        ("a long list of files", r"list of files in its archive of labels is more than 4000000 bytes.*--max-archive"),
    ],
)
def test_an_archive_is_not_unpacked_beyond_the_limits(tmp_path: Path, name: str, message: str) -> None:
    path = tmp_path / "reads.tflite"
    path.write_bytes(BOMBS[name])
    with memory_for(32), pytest.raises(ModelFileError, match=message):
        RecognizerFile.open(path)


def test_texts_that_nobody_asked_for_are_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "reads.tflite"
    path.write_bytes(BOMBS["many files"])
    with memory_for(32), pytest.raises(ModelFileError, match=f"2 labels for {CLASSES} classes"):
        RecognizerFile.open(path)


def test_the_limit_counts_all_texts_in_sum(tmp_path: Path) -> None:
    path = tmp_path / "reads.tflite"
    labels = b"\n".join(b"%d" % k for k in range(CLASSES))
    path.write_bytes(with_archive(("metadata.json", b'{"some": "other"}'), ("labels.txt", labels)))
    both = len(b'{"some": "other"}') + len(labels)
    with pytest.raises(ModelFileError, match=r"holds is more than \d+ bytes.*ModelLimits\(archive_bytes="):
        RecognizerFile.open(_padded(path, 400), limits=ModelLimits(archive_bytes=both + 399))
    assert RecognizerFile.open(path, limits=ModelLimits(archive_bytes=both + 400)).classes == CLASSES


def _padded(path: Path, count: int) -> Path:
    labels = b"\n".join(b"%d" % k for k in range(CLASSES)) + b"\n" * count
    path.write_bytes(with_archive(("metadata.json", b'{"some": "other"}'), ("labels.txt", labels)))
    return path


def test_a_zip64_archive_is_refused(tmp_path: Path) -> None:
    content = with_archive(("metadata.json", b"{}"), ("labels.txt", b""))
    place = content.rfind(b"PK\5\6")
    path = tmp_path / "model.tflite"
    path.write_bytes(content[:place] + b"PK\6\7" + bytes(16) + content[place:])
    with pytest.raises(ModelFileError, match=r"\(zip64\)"):
        ModelFile.open(path)


DIGITS = hashlib.sha256(FLATBUFFER).hexdigest()


pytestmark = pytest.mark.filterwarnings("error::stn_rectify.runtime.StnRectifyWarning")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A recognizer without metadata."""
    path = tmp_path / "reads.tflite"
    path.write_bytes(FLATBUFFER)
    return path


@pytest.mark.parametrize(
    "text",
    [
        f"{DIGITS}  reads.tflite\n",
        f"{DIGITS} *reads.tflite\n",
        f"{DIGITS.upper()}  ./folder/reads.tflite",
        f"SHA256 (reads.tflite) = {DIGITS}\n",
        f"{DIGITS}\n",
        f"{'0' * 64}  other.tflite\n{DIGITS}  reads.tflite\n",
    ],
)
def test_a_recognizer_with_its_sha256_beside_it(bare: Path, text: str) -> None:
    bare.with_name("reads.tflite.sha256").write_text(text)
    with Recognizer(bare) as recognizer:
        assert recognizer.file.is_verified
    bare.write_bytes(_flipped(FLATBUFFER))
    with pytest.raises(ModelFileError, match=r"not the one that .*reads\.tflite\.sha256 tells of.*copy the file again"):
        Recognizer(bare)


@pytest.mark.parametrize("text", ["", "hello\n", f"{DIGITS[:-1]}  reads.tflite", f"{DIGITS}\n{DIGITS}\n"])
def test_a_file_beside_it_that_tells_nothing(bare: Path, text: str) -> None:
    bare.with_name("reads.tflite.sha256").write_text(text)
    with pytest.raises(ModelFileError, match=r"sha256 does not say what the SHA-256 of reads\.tflite is: write it by"):
        Recognizer(bare)


def test_a_pipe_beside_it_is_not_waited_for(bare: Path) -> None:
    os.mkfifo(bare.with_name("reads.tflite.sha256"))
    with pytest.raises(ModelFileError, match=r"cannot read .*reads\.tflite\.sha256: it is a named pipe, not a file"):
        Recognizer(bare)


def test_a_recognizer_with_a_given_sha256(bare: Path) -> None:
    bare.with_name("reads.tflite.sha256").write_text("0" * 64)  # the given one counts
    with Recognizer(bare, sha256=DIGITS.upper()) as recognizer:
        assert recognizer.file.is_verified
    with pytest.raises(ModelFileError, match="not the one that the given SHA-256 tells of"):
        Recognizer(bare, sha256="0" * 64)
    for wrong in ("12", DIGITS + "0", 12, b"0" * 64):
        with pytest.raises(UsageError, match="sha256 is"):
            Recognizer(bare, sha256=wrong)


def test_a_recognizer_without_any_is_taken_with_a_warning(bare: Path) -> None:
    with (
        pytest.warns(StnRectifyWarning, match=re.escape(f"sha256sum {bare} > {bare}.sha256")),
        Recognizer(bare) as recognizer,
    ):
        assert not recognizer.file.is_verified
    with Recognizer("digits") as recognizer:  # whose metadata has one
        assert recognizer.file.is_verified


def test_a_model_file_with_another_sha256_beside_it(tmp_path: Path, make_model: Callable[..., Path]) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(make_model().read_bytes())
    ModelFile.open(path)
    path.with_name("model.tflite.sha256").write_text(f"{zlib.crc32(b''):064x}  model.tflite")
    with pytest.raises(ModelFileError, match=r"model file .* is not the one that .*model\.tflite\.sha256 tells of"):
        ModelFile.open(path)


@pytest.mark.parametrize("limits", [3, "4M", {"archive_bytes": 5}])
def test_limits_of_another_type(limits: object) -> None:
    with pytest.raises(UsageError, match=r"limits is .*ModelLimits"):
        ModelFile.open("general", limits=limits)


@pytest.mark.parametrize("value", [0, -1, 1.5, "4M", True, None])
def test_limits_are_whole_numbers(value: object) -> None:
    with pytest.raises(UsageError, match="archive_bytes is"):
        ModelLimits(archive_bytes=value)
    with pytest.raises(UsageError, match="tensor_bytes is"):
        ModelLimits(tensor_bytes=value)


def _flipped(content: bytes) -> bytes:
    return content[:-1000] + bytes([content[-1000] ^ 1]) + content[-999:]
