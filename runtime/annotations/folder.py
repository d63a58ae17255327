"""What lies in a folder of annotated frames."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Collection, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from unicodedata import normalize
from xml.etree import ElementTree

from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.files import read_file
from stn_rectify.runtime.images.kinds import image_suffixes

#: Where the images lie beside annotations, and the annotations beside images.
_IMAGES, _ANNOTATIONS = "images", "annotations"
#: Of the images of a video's frames, which CVAT names without.
_FRAME_SUFFIXES = (".PNG", ".png", ".jpg", ".jpeg")
#: Windows writes UTF-16 here and there.
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

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
        self._places_of = dict[Path, list[Path]]()

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
        found = dict[Path, Path]()
        for spelled in _spellings(plain):
            for place in (place for root in dict.fromkeys(roots) for place in self._places(root)):
                if _is_file(place / spelled):
                    found[(place / spelled).resolve()] = place / spelled
            if found:
                break
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

    def _places(self, root: Path) -> list[Path]:
        """Where the images of a folder may lie: looked for once, not for each of them."""
        if root not in self._places_of:
            images = root / _IMAGES
            below = sorted(child for child in images.iterdir() if child.is_dir()) if images.is_dir() else []
            self._places_of[root] = [root, images, *below]
        return self._places_of[root]


def _spellings(name: str) -> list[str]:
    """A name as it is written, composed and decomposed as some systems keep it, and with a suffix if it has none."""
    forms = [name, normalize("NFC", name), normalize("NFD", name)]
    if Path(name).suffix.lower() not in image_suffixes():
        forms += [f"{form}{suffix}" for form in forms for suffix in _FRAME_SUFFIXES]
    return list(dict.fromkeys(forms))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # too long a name
        return False


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
    if content.startswith(_UTF16_MARKS):
        content = content.replace(b"\0", b"")
    return all(word in content for word in words)


def read_text(file: Path) -> str:
    """What a text file holds: UTF-8, or UTF-16 that says so.

    Raises:
        DataError: if it cannot be read or is in another encoding.
    """
    try:
        content = read_file(file)
        return content.decode("utf-16" if content.startswith(_UTF16_MARKS) else "utf-8-sig")
    except ValueError as error:
        raise DataError(f"{file} cannot be read: it is not in UTF-8 ({error}): store it as UTF-8") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error


def read_json(file: Path, *, refuse_doubles: bool = False) -> Any:
    """What a JSON file holds.

    Args:
        file: the file.
        refuse_doubles: whether a name that stands twice in an object is an error; else the last one counts.

    Raises:
        DataError: if it cannot be read or is no JSON.
    """
    try:
        return json.loads(read_file(file), object_pairs_hook=_without_doubles if refuse_doubles else None)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is damaged or no JSON: {error}") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{double} stands in it twice: leave one of them there")
    return values


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
