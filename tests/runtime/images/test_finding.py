from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest
from PIL import Image

from stn_rectify.runtime import ImageSource, SourceError, StnRectifyWarning
from stn_rectify.runtime.images.finding import all_image_files, image_files


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 6)).save(folder / name, "PNG")
    return folder


def relative(files: list[Path], folder: Path) -> list[str]:
    return [str(file.relative_to(folder)) for file in files]


def warned(path: Path | str, **options: bool) -> tuple[list[Path], list[str]]:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        files = image_files(path, **options)
    return files, [str(one.message) for one in said]


def test_a_folder_names_and_counts_what_is_left_out(tmp_path: Path) -> None:
    make(
        tmp_path, "a.jpg", "b.jfif", "c.JPE", "d.gif", "e.HEIC", "f.heic", "g.nef", "h.mov", "inner/z.png", "deep/y.png"
    )
    (tmp_path / "notes.txt").touch()
    (tmp_path / "more").touch()
    (tmp_path / ".hidden").touch()
    files, lines = warned(tmp_path)
    assert relative(files, tmp_path) == ["a.jpg", "b.jfif", "c.JPE", "d.gif"]
    (line,) = lines
    assert "left out 2 .heic files (" in line
    assert "-m pip install pillow-heif' lets them be read)" in line
    assert "1 .mov file (videos: name each by itself)" in line
    assert "1 .nef file (raw photographs: develop them to JPEG or TIFF)" in line
    assert "2 other files (without a suffix .txt)" in line
    assert "2 subfolders (name them as well, or a pattern: '" in line
    assert f"{tmp_path}/**/*.png'" in line


def test_a_folder_of_nothing_else_says_what_is_there(tmp_path: Path) -> None:
    make(tmp_path, "a.heic", "b.heic")
    with pytest.raises(SourceError, match=r"no image in the folder .*; left out 2 \.heic files .*pillow-heif"):
        image_files(tmp_path)


def test_a_folder_without_images_says_what_to_do_in_a_few_words(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"no image in the folder \S+: name one with JPEG, PNG, TIFF or other images$"
    ):
        image_files(tmp_path)
    make(tmp_path, "a/b/c.tif")
    with pytest.raises(
        SourceError, match=r"; left out 1 subfolder \(name it as well, or a pattern: '.*/\*\*/\*\.tif'\)$"
    ):
        image_files(tmp_path)
    (tmp_path / "a/b/c.tif").unlink()
    with pytest.raises(SourceError, match=r"; left out 1 subfolder$"):
        image_files(tmp_path)


def test_nothing_is_said_where_nothing_is_left_out(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "b/c.png")
    assert warned(tmp_path, subfolders=True)[1] == []
    assert relative(warned(tmp_path, subfolders=True)[0], tmp_path) == ["a.png", "b/c.png"]


@pytest.mark.parametrize("pattern", ["**/*.png", "**", "sub/**/*.png"])
def test_a_loop_of_links_gives_each_file_once(pattern: str, tmp_path: Path) -> None:
    make(tmp_path, "a.png", "sub/b.png")
    (tmp_path / "sub" / "up").symlink_to("..")
    (tmp_path / "sub" / "again").symlink_to("..")  # with two links there are more ways than could be walked
    files, lines = warned(str(tmp_path / pattern))
    assert sorted(os.path.realpath(file) for file in files) == [str(tmp_path / "a.png"), str(tmp_path / "sub/b.png")]
    assert lines == []


def test_a_folder_behind_a_link_is_searched(tmp_path: Path) -> None:
    make(tmp_path, "far/a.png", "near/b.png")
    (tmp_path / "near" / "link").symlink_to(tmp_path / "far")
    assert relative(image_files(tmp_path / "near", subfolders=True), tmp_path) == ["near/b.png", "near/link/a.png"]
    assert relative(image_files(str(tmp_path / "near/**/*.png")), tmp_path) == ["near/b.png", "near/link/a.png"]


def test_two_names_of_one_file_are_one_and_the_other_is_named(tmp_path: Path) -> None:
    make(tmp_path, "a.png")
    (tmp_path / "b.png").symlink_to("a.png")
    files, lines = warned(tmp_path)
    assert relative(files, tmp_path) == ["a.png"]
    assert lines == [f"{tmp_path}: 1 path led to files that were there already: each is taken once"]


def test_folders_and_globs_that_overlap_give_a_file_once_but_names_as_often_as_they_are_given(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "b.png")
    with pytest.warns(StnRectifyWarning, match=r"\*\.png: 2 paths led to files that were there already"):
        files = all_image_files([tmp_path, str(tmp_path / "*.png")])
    assert relative(files, tmp_path) == ["a.png", "b.png"]
    assert relative(all_image_files([tmp_path / "a.png"] * 2), tmp_path) == ["a.png", "a.png"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.png", ["a.png"]),
        ("**/*.png", ["a.png", "one/b.png", "one/two/c.png"]),
        ("one/**/*.png", ["one/b.png", "one/two/c.png"]),
        ("**/two/*.png", ["one/two/c.png"]),
        ("**/one/**/c.*", ["one/two/c.png"]),
        ("o?e/*", ["one/b.png"]),
    ],
)
def test_globs_match_as_pythons_do(
    pattern: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a.png", "one/b.png", "one/two/c.png", ".hidden/d.png", "one/.e.png")
    assert relative(image_files(str(tmp_path / pattern)), tmp_path) == expected
    monkeypatch.chdir(tmp_path)
    assert [str(file) for file in image_files(pattern)] == expected


def test_the_suffixes_that_pillow_can_read_are_read(tmp_path: Path) -> None:
    for name in ("a.jfif", "b.jpe", "c.ico", "d.tga", "e.pcx", "f.jp2", "g.dib", "h.pbm", "i.mpo", "j.sgi"):
        Image.new("L" if name != "h.pbm" else "1", (32, 32)).save(
            tmp_path / name, {".jfif": "JPEG", ".jpe": "JPEG", ".mpo": "JPEG"}.get(name[1:])
        )
    assert len(list(ImageSource(tmp_path))) == 10
