"""The image files of folders and patterns; what is not taken is counted and named."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from os import PathLike
from pathlib import Path

from stn_rectify.runtime.errors import SourceError, warn
from stn_rectify.runtime.images.kinds import image_suffixes, what_to_do

_EVERYWHERE = "**"
_FOLDERS_LOOKED_INTO = 1000  # for the suffix of an image: a whole disk may lie below


def image_files(path: str | PathLike[str], *, subfolders: bool = False) -> list[Path]:
    """The images of a folder or a glob, sorted by name; a file is itself.

    A file that links or overlapping patterns reach twice comes once, by its shortest path; hidden files and folders are
    passed over. A warning counts the other files of a folder, names their suffixes and says what to do about them.

    Args:
        path: a file, a folder, or a glob such as ``"scans/**/*.png"``.
        subfolders: whether a folder is searched with all below it.

    Raises:
        SourceError: if there is none.
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        return _of_folder(Path(name), subfolders=subfolders)
    if os.path.lexists(name) or not glob.has_magic(name):
        if not os.path.exists(name):
            what = "folder" if name.endswith(os.sep) else "image"
            raise SourceError(f"{what} {name} does not exist: check the path")
        return [Path(name)]
    # What is no file but is called like an image is named when it is read; folders on the way are no news.
    found = [Path(file) for file in _matches(name) if not os.path.isdir(file) or _is_called_image(file)]
    if not found:
        raise SourceError(f"nothing matches {name}: check the pattern")
    return _each_once(name, found)


def _is_called_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in image_suffixes()


def all_image_files(paths: Iterable[str | PathLike[str]]) -> list[Path]:
    """The images of several files, folders and globs, in their order.

    What is named as a file comes as often as it is named; what a folder or glob reaches, only if it is not there yet.

    Raises:
        SourceError: if one of them gives none.
    """
    files: list[Path] = []
    known = set[str]()
    for path in paths:
        found = image_files(path)
        is_named = os.path.lexists(path) and not os.path.isdir(path)
        fresh = found if is_named else [file for file in found if os.path.realpath(file) not in known]
        _warn_of_repeated(os.fspath(path), len(found) - len(fresh))
        known.update(map(os.path.realpath, fresh))
        files += fresh
    return files


def _of_folder(folder: Path, *, subfolders: bool) -> list[Path]:
    files, others, folders = list[Path](), Counter[str](), 0
    for root, names, inner in _walk(folder):
        folders += 0 if subfolders else len(inner)
        for name in names:
            if _is_called_image(name):
                files.append(root / name)
            else:
                others[os.path.splitext(name)[1].lower()] += 1
        if not subfolders:
            break
    left_out = [*_described(others), *_described_folders(folder, folders)]
    if not files:
        inside = f"; left out {', '.join(left_out)}" if left_out else ": name one with JPEG, PNG, TIFF or other images"
        raise SourceError(f"no image in the folder {folder}{inside}")
    if left_out:
        warn(f"folder {folder}: left out {', '.join(left_out)}")
    return _each_once(str(folder), files)


def _described(others: Counter[str]) -> Iterator[str]:
    """A phrase for each suffix that something is to be done about, and one for all others."""
    rest = Counter[str]()
    for suffix, count in sorted(others.items()):
        remedy = what_to_do(suffix)
        if remedy:
            yield f"{_counted(count, f'{suffix} file')} ({remedy})"
        else:
            rest[suffix or "without a suffix"] += count
    if rest:
        yield f"{_counted(rest.total(), 'other file')} ({' '.join(rest)})"


def _described_folders(folder: Path, count: int) -> Iterator[str]:
    if count:
        inner = (name for _, names, _ in islice(_walk(folder), 1, _FOLDERS_LOOKED_INTO) for name in names)
        suffix = next((os.path.splitext(name)[1] for name in inner if _is_called_image(name)), None)
        them = "it" if count == 1 else "them"
        advice = "" if suffix is None else f" (name {them} as well, or a pattern: '{folder}/**/*{suffix}')"
        yield f"{_counted(count, 'subfolder')}{advice}"


def _walk(folder: Path) -> Iterator[tuple[Path, Sequence[str], Sequence[str]]]:
    """A folder and all below it: paths, names of files, names of folders. Links are followed, each folder once."""
    seen = set[str]()
    for root, folders, names in os.walk(folder, followlinks=True):
        here = os.path.realpath(root)
        if here in seen:
            folders.clear()
            continue
        seen.add(here)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(root), sorted(name for name in names if not name.startswith(".")), tuple(folders)


def _matches(pattern: str) -> Iterator[str]:
    """What a glob matches. Its ``**`` enters each folder once, however many links lead there."""
    parts = pattern.split(os.sep)
    if _EVERYWHERE not in parts:
        yield from (match for match in glob.glob(pattern) if not os.path.basename(match).startswith("."))
        return
    place = parts.index(_EVERYWHERE)
    head, tail = os.sep.join(parts[:place]), os.sep.join(parts[place + 1 :]) or "*"
    for folder in glob.glob(head + os.sep) if head else ([os.sep] if place else [""]):
        for root, _, _ in _walk(Path(folder)):
            below = glob.escape("" if not folder and root == Path() else str(root))
            yield from _matches(os.path.join(below, tail))


def _each_once(name: str, files: Sequence[Path]) -> list[Path]:
    """The files sorted by name, without those that are one and the same under another name."""
    kept: dict[str, Path] = {}
    for file in sorted(files, key=lambda file: (len(file.parts), file)):
        kept.setdefault(os.path.realpath(file), file)
    _warn_of_repeated(name, len(files) - len(kept))
    return sorted(kept.values())


def _warn_of_repeated(name: str, count: int) -> None:
    if count:
        warn(f"{name}: {_counted(count, 'path')} led to files that were there already: each is taken once")


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
