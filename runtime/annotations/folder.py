"""What lies in a folder of annotated frames."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree

from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.files import read_file
from stn_rectify.runtime.images.kinds import image_suffixes

#: Where the images lie beside annotations, and the annotations beside images.
_IMAGES, _ANNOTATIONS = "images", "annotations"

_Content = TypeVar("_Content")


class Folder:
    """A folder of annotated frames, or one file of annotations and the folder around it.

    Args:
        path: the folder, or the file.

    Attributes:
        path: as given.
        root: the folder.
        damaged: errors of files that could not be read while the formats were looked for.

    Raises:
        DataError: if there is neither.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.damaged = path, list[str]()
        if not path.exists():
            raise DataError(f"{path}: there is no such folder or file of annotated frames")
        self.root = path if path.is_dir() else path.parent

    @property
    def only(self) -> Path | None:
        """The one file of annotations, if it was named."""
        return None if self.path.is_dir() else self.path

    @cached_property
    def images(self) -> list[Path]:
        """The images of the folder and its subfolders, sorted."""
        return images_of(self.root, subfolders=True)

    @cached_property
    def coco(self) -> dict[Path, Any]:
        """The COCO files of the folder itself and of a folder ``annotations`` in it, each as it is read."""
        files = [file for file in self._own(".json") if _holds(file, b'"images"', b'"annotations"')]
        return {file: content for file, content in self._read(files, read_json) if is_coco(content)}

    @cached_property
    def labelme(self) -> list[Path]:
        """The files of the folder and its subfolders that look like labelme's, sorted."""
        files = [self.only] if self.only is not None else sorted(self.root.rglob("*.json"))
        return [file for file in files if file.suffix == ".json" and _holds(file, b'"shapes"', b'"imagePath"')]

    @cached_property
    def cvat(self) -> dict[Path, ElementTree.Element]:
        """The CVAT files of the folder itself and of a folder ``annotations`` in it: their first elements."""
        files = [file for file in self._own(".xml") if _holds(file, b"<annotations")]
        return {file: first for file, first in self._read(files, read_xml) if first.tag == "annotations"}

    def the_only(self, files: Collection[Path], kind: str) -> Path | None:
        """The file of annotations, if there is one.

        Raises:
            DataError: if there are several.
        """
        if len(files) > 1:
            names = ", ".join(str(file.relative_to(self.root)) for file in files)
            raise DataError(f"{self.root} holds several {kind} files ({names}): name the file that is meant")
        return next(iter(files), None)

    def _own(self, suffix: str) -> list[Path]:
        if self.only is not None:
            return [self.only] if self.only.suffix == suffix else []
        folders = (self.root, self.root / _ANNOTATIONS)
        return [file for folder in folders for file in sorted(folder.glob(f"*{suffix}")) if file.is_file()]

    def _read(self, files: list[Path], read: Callable[[Path], _Content]) -> Iterator[tuple[Path, _Content]]:
        for file in files:
            try:
                yield file, read(file)
            except DataError as error:  # perhaps it is none of ours
                self.damaged.append(str(error))

    def image(self, name: str, file: Path) -> Path:
        """The image that a file of annotations names.

        Args:
            name: as written there; separators of both kinds.
            file: that file.

        Returns:
            The one that is there: beside the file, in the folder, or in a folder ``images`` of either or one below it.

        Raises:
            DataError: if there is none, or there are several.
        """
        plain = name.replace("\\", "/").removeprefix("./")
        roots = [file.parent, self.root]
        if file.parent.name == _ANNOTATIONS:
            roots.append(file.parent.parent)
        found = {}
        for root in roots:
            for candidate in (root / plain, *self._in_images(root, plain)):
                if candidate.is_file():
                    found[candidate.resolve()] = candidate
        if not found and "/" in plain:  # a path of the machine where it was annotated
            return self.image(plain.rsplit("/", 1)[1], file)
        if not found:
            raise DataError(
                f"{file} names the image {name}, which is missing: it should lie beside that file or in "
                f"{self.root / _IMAGES}"
            )
        if len(found) > 1:
            places = " and ".join(map(str, found.values()))
            raise DataError(f"{file} names the image {name}, of which there are {places}: leave one of them there")
        return next(iter(found.values()))

    @staticmethod
    def _in_images(root: Path, name: str) -> list[Path]:
        images = root / _IMAGES
        below = sorted(child for child in images.iterdir() if child.is_dir()) if images.is_dir() else []
        return [images / name, *(child / name for child in below)]


def images_of(folder: Path, *, subfolders: bool) -> list[Path]:
    """The images of a folder, and if asked for of its subfolders, sorted."""
    return sorted(
        file
        for file in (folder.rglob("*") if subfolders else folder.iterdir())
        if file.suffix.lower() in image_suffixes() and not file.name.startswith(".")
    )


def is_coco(content: Any) -> bool:
    """Tells whether a JSON file's content is of COCO's kind."""
    return isinstance(content, dict) and all(isinstance(content.get(k), list) for k in ("images", "annotations"))


def _holds(file: Path, *words: bytes) -> bool:
    """Tells whether a file can be read and holds some words: a labelme file may be large, most of it the image."""
    try:
        content = read_file(file)
    except OSError:
        return False
    return all(word in content for word in words)


def read_json(file: Path) -> Any:
    """What a JSON file holds.

    Raises:
        DataError: if it cannot be read or is no JSON.
    """
    try:
        return json.loads(read_file(file))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is damaged or no JSON: {error}") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error


def read_xml(file: Path) -> ElementTree.Element:
    """The first element of an XML file.

    Raises:
        DataError: if it cannot be read or is no XML.
    """
    try:
        return ElementTree.fromstring(read_file(file))  # nosec B314  # expat opens no entities, and limits what they grow to
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError(f"{file} is damaged or no XML: {error}") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
