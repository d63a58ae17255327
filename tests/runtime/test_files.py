"""Files that are read and replaced: what is no regular file is neither waited for nor replaced."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import numpy as np
import pytest

from stn_rectify.runtime import DataError, ImageSource, Rectifier, SourceError
from stn_rectify.runtime.files import open_file, partial_file, read_file, text_name


def make(kind: str, path: Path) -> None:
    """Makes something that is no file."""
    if kind == "a named pipe":
        os.mkfifo(path)
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()


KINDS = ("a named pipe", "a socket", "a device", "a folder")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_not_opened(tmp_path: Path, kind: str) -> None:
    make(kind, tmp_path / "a")
    with pytest.raises(OSError, match=f"it is {kind}, not a file"):
        open_file(tmp_path / "a")


def test_a_folders_pipes_and_the_like_are_named_and_passed_over(tmp_path: Path) -> None:
    for kind in KINDS:
        make(kind, tmp_path / f"{kind}.jpg")
    (tmp_path / "b.pgm").write_bytes(b"P5 2 1 255\n\x00\xff")
    errors: list[SourceError] = []
    frames = list(ImageSource(tmp_path, on_error=errors.append))
    assert [frame.image.tolist() for frame in frames] == [[[0, 255]]]
    assert all(any(f"it is {kind}, not a file" in str(error) for error in errors) for kind in KINDS[:3])


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    assert read_file(tmp_path / "a") == b"content"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """Else a run of root's would put a file in the place of ``/dev/null``."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with partial_file(pipe) as partial:
        partial.write_bytes(b"content")
    assert os.read(reader, 100) == b"content"
    os.close(reader)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_name_that_is_no_text_is_given_one(tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(b"caf\xe9.mkv")
    with text_name(file) as name:
        Path(name).write_bytes(b"content")
    assert name.endswith(".mkv")
    assert name.isascii()
    assert file.read_bytes() == b"content"
    assert not os.path.lexists(name)
    with text_name(tmp_path / "café.mkv") as own:
        assert own == str(tmp_path / "café.mkv")


def test_none_is_told_what_it_most_likely_is() -> None:
    nothing: np.ndarray | None = None
    with Rectifier("fast") as rectifier, pytest.raises(DataError, match="the frame is None, as cv2"):
        rectifier.rectify(nothing)  # type: ignore[arg-type]
