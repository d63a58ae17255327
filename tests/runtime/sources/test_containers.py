from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from stn_rectify.runtime import SourceError, VideoSource
from stn_rectify.runtime.sources.containers import Container, read_container
from tests.runtime.sources.frame_sources import drain
from tests.runtime.sources.stream_server import stream_server

FILES = Path(__file__).parent / "files"
#: A second of pictures (10 frames; 25 in the MPG), three seconds of sound; each is complete.
LONG_SOUND = sorted(FILES.glob("long_sound.*"))
# The upper left 2x2 numbers (a, b, c, d) of a display matrix, which puts (x, y) at (ax + cy, bx + dy), and the same for
# an array of pixels.
_TURNS = {
    "upright": ((1, 0, 0, 1), lambda image: image),
    "a quarter": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "half": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    "three quarters": ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
    "mirrored": ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda image: image[::-1]),
    "transposed": ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
    "transposed the other way": ((0, -1, -1, 0), lambda image: image[::-1, ::-1].transpose(1, 0, 2)),
}


def corner_colours(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """The middle colours of the four quarters of a picture, as 0 or 1 a channel, [2, 2, 3]."""
    height, width = image.shape[:2]
    rows, columns = [height // 4, 3 * height // 4], [width // 4, 3 * width // 4]
    return (image[np.ix_(rows, columns)] > 127).astype(np.int64)


def write_quarters(path: Path) -> npt.NDArray[np.uint8]:
    """Writes a video of ten equal pictures with a colour in each quarter, and gives the picture."""
    image = np.zeros((48, 96, 3), np.uint8)
    image[:24, :48], image[:24, 48:], image[24:, :48] = (0, 0, 255), (0, 255, 0), (255, 0, 0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (96, 48))
    for _ in range(10):
        writer.write(image)
    writer.release()
    return image


def set_matrix(path: Path, box: bytes, at: int, matrix: tuple[int, int, int, int]) -> None:
    """Writes a display matrix into the movie's (mvhd, byte 36 of it) or the track's header (tkhd, byte 40)."""
    a, b, c, d = (number << 16 for number in matrix)
    content = bytearray(path.read_bytes())
    place = content.index(box) + len(box) + at
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


@pytest.mark.parametrize("ending", ["mp4", "mov"])
@pytest.mark.parametrize("turn", _TURNS)
def test_a_phones_video_is_turned_and_mirrored_as_its_display_matrix_says(
    tmp_path: Path, turn: str, ending: str
) -> None:
    image = write_quarters(tmp_path / f"phone.{ending}")
    matrix, apply = _TURNS[turn]
    set_matrix(tmp_path / f"phone.{ending}", b"tkhd", 40, matrix)
    with VideoSource(tmp_path / f"phone.{ending}") as source:
        frames = [frame.image for frame in source]
    right = apply(image)
    assert len(frames) == 10
    assert {frame.shape for frame in frames} == {right.shape}
    np.testing.assert_array_equal(corner_colours(frames[3]), corner_colours(right))
    assert f"{right.shape[1]}x{right.shape[0]} at" in source.description
    assert frames[0].flags.c_contiguous


def test_the_movies_matrix_counts_as_the_tracks_does(tmp_path: Path) -> None:
    image = write_quarters(tmp_path / "twice.mp4")
    set_matrix(tmp_path / "twice.mp4", b"mvhd", 36, (1, 0, 0, -1))
    set_matrix(tmp_path / "twice.mp4", b"tkhd", 40, (1, 0, 0, -1))
    assert not read_container(tmp_path / "twice.mp4").is_mirrored
    with VideoSource(tmp_path / "twice.mp4") as source:
        np.testing.assert_array_equal(corner_colours(next(iter(source)).image), corner_colours(image))


@pytest.mark.parametrize("turn", ["a quarter", "mirrored", "transposed"])
def test_matroska_says_it_as_a_projection(tmp_path: Path, turn: str) -> None:
    # Made of `write_quarters` and `set_matrix` by FFmpeg's muxer.
    with VideoSource(FILES / f"{turn.replace(' ', '_')}.mkv") as source:
        frame = next(iter(source)).image
    right = _TURNS[turn][1](write_quarters(tmp_path / "right.mp4"))
    np.testing.assert_array_equal(corner_colours(frame), corner_colours(right))


def test_sound_that_is_longer_than_the_pictures_is_no_damage() -> None:
    assert {file.suffix for file in LONG_SOUND} == {".flv", ".mkv", ".mp4", ".mpg", ".ts"}
    for file in LONG_SOUND:
        with VideoSource(file) as source:
            assert drain(source) == (25 if file.suffix == ".mpg" else 10, None), file.name


@pytest.mark.parametrize("share", [0.7, 0.95])
@pytest.mark.parametrize("suffix", ["flv", "mkv", "ts"])
def test_such_a_file_that_is_cut_gives_its_frames_then_an_error(tmp_path: Path, suffix: str, share: float) -> None:
    content = (FILES / f"long_sound.{suffix}").read_bytes()
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(content[: int(len(content) * share)])
    with VideoSource(cut) as source:
        count, error = drain(source)
    assert count > 0
    assert f"cut.{suffix} is cut short: {count} " in str(error)


@pytest.mark.parametrize("suffix", ["flv", "mkv", "ts"])
def test_a_download_that_stopped_leaves_zeros(tmp_path: Path, suffix: str) -> None:
    content = (FILES / f"long_sound.{suffix}").read_bytes()
    (tmp_path / f"zeros.{suffix}").write_bytes(content + bytes(4096))
    assert read_container(tmp_path / f"zeros.{suffix}").is_cut


def test_an_flv_may_end_with_a_tag_that_ends_the_pictures_amid_the_sound(tmp_path: Path) -> None:
    content = (FILES / "long_sound.flv").read_bytes()
    last = b"\x09" + struct.pack(">I", 5)[1:] + struct.pack(">I", 0)[1:] + bytes(4) + b"\x17\x02\0\0\0"
    (tmp_path / "whole.flv").write_bytes(content + last + struct.pack(">I", len(last)))
    assert read_container(tmp_path / "whole.flv").is_cut is False


@pytest.mark.parametrize("length", [5, 6])
def test_an_avi_of_several_lists_is_cut_where_the_last_one_is(tmp_path: Path, length: int) -> None:
    first = b"RIFF" + struct.pack("<I", length) + b"AVI \0\0"  # of an odd length a byte fills up
    second = b"RIFF" + struct.pack("<I", 100) + b"AVIX"
    (tmp_path / "whole.avi").write_bytes(first + second + bytes(96))
    (tmp_path / "cut.avi").write_bytes(first + second + bytes(90))
    assert read_container(tmp_path / "whole.avi").is_cut is False
    assert read_container(tmp_path / "cut.avi").is_cut is True


@pytest.mark.parametrize("share", [0.4, 0.9])
def test_a_wmv_is_cut_short_though_ffmpeg_takes_its_time_from_what_is_left(tmp_path: Path, share: float) -> None:
    whole, cut = tmp_path / "whole.wmv", tmp_path / "cut.wmv"
    writer = cv2.VideoWriter(str(whole), cv2.VideoWriter.fourcc(*"WMV2"), 25.0, (96, 48))
    for seed in range(50):
        writer.write(np.random.default_rng(seed).integers(0, 256, (48, 96, 3), np.uint8))
    writer.release()
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    with VideoSource(whole) as source:
        assert drain(source) == (50, None)
    with VideoSource(cut) as source:
        count, error = drain(source)
    assert 0 < count < 50
    assert f"cut.wmv is cut short: {count} frames" in str(error)


def test_an_mp4_whose_index_is_missing_is_cut_short(tmp_path: Path) -> None:
    content = (FILES / "long_sound.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) // 3])
    with pytest.raises(SourceError, match=r"cannot open the video .*cut\.mp4: it is cut short, copy it again"):
        VideoSource(tmp_path / "cut.mp4")


def test_an_edit_list_that_leaves_frames_out_is_no_damage(tmp_path: Path) -> None:
    """As phones and editors write a shortened clip: all frames are in the file, a part of them is to be shown."""
    write_quarters(tmp_path / "edited.mp4")
    content = bytearray((tmp_path / "edited.mp4").read_bytes())
    place = content.index(b"elst") + 12  # after version, flags and the number of entries: the time shown, 1/1000 s
    content[place : place + 4] = (120).to_bytes(4, "big")
    (tmp_path / "edited.mp4").write_bytes(content)
    with VideoSource(tmp_path / "edited.mp4") as source:
        assert drain(source) == (3, None)


@pytest.mark.parametrize("content", [b"", b"\x1aE\xdf\xa3", b"\x1aE\xdf\xa3" + b"\0" * 20, b"RIFF\0\0", b"text" * 99])
def test_headers_that_are_broken_say_nothing_wrong(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken").write_bytes(content)
    assert not read_container(tmp_path / "broken").is_mirrored
    assert read_container(tmp_path / "missing") == Container()


@pytest.mark.parametrize("suffix", ["mkv", "flv"])
def test_long_sound_is_no_damage_behind_an_address_either(tmp_path: Path, suffix: str) -> None:
    whole = FILES / f"long_sound.{suffix}"
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 7 // 10])
    for file, is_cut in ((whole, False), (cut, True)):
        with stream_server(file=file) as server:
            server.gives_ranges = True
            with VideoSource(f"{server.address}/file") as source:
                count, error = drain(source)
        assert count == 10 or is_cut
        assert ("is cut short" in str(error)) == is_cut
