"""YOLO-pose and YOLO-OBB, as ultralytics reads and writes them: a text file for each image, a line for each target.

Pose: ``class cx cy w h`` and four keypoints ``x y`` or ``x y visible``, as ``kpt_shape`` of the data set's YAML file
says. OBB: ``class x1 y1 x2 y2 x3 y3 x4 y4``. All numbers but the class are shares of the frame's sides. The file of
``images/…/a.jpg`` is ``labels/…/a.txt``, that of an image elsewhere lies beside it; an image without one shows no
target.
https://docs.ultralytics.com/datasets/pose/ and https://docs.ultralytics.com/datasets/obb/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stn_rectify.runtime.annotations.corners import Coordinates, DrawnFrame, DrawnSet, DrawnTarget, corner_order
from stn_rectify.runtime.annotations.folder import Folder, images_of, read_text
from stn_rectify.runtime.annotations.frames import counted
from stn_rectify.runtime.annotations.plain_yaml import read_keys
from stn_rectify.runtime.errors import DataError

_IMAGES, _LABELS = "images", "labels"
#: Files in a folder of labels that are none.
_NO_LABELS = frozenset({"classes", "notes", "readme"})
_BOX_NUMBERS, _OBB_NUMBERS = 5, 9


@dataclass(frozen=True)
class DataSet:
    """A data set of this kind.

    Attributes:
        description: its YAML file; None if it has none.
        labels: image → its text file, which may be missing.
        names: class number → name.
        dimensions: numbers of a keypoint; None for OBB.
        order: the keypoints of the corners TL TR BR BL; None if their names do not tell.
    """

    description: Path | None
    labels: dict[Path, Path]
    names: dict[str, str]
    dimensions: int | None
    order: list[int] | None


def find(folder: Folder) -> DataSet | None:
    """The data set, if there is one.

    Raises:
        DataError: if its YAML file cannot be read, or there are several, or it is of other keypoints, or of images that
            are not there.
    """
    if folder.only is not None and folder.only.suffix not in (".yaml", ".yml"):
        return None
    description = folder.only or _description(folder.root)
    labels = _labels(folder.images, description)
    if not labels and folder.only is not None:
        labels = _labels_elsewhere(folder.only)
    if not labels:
        return None
    keys = read_keys(description, ("names", "kpt_shape", "kpt_names", "keypoints")) if description else {}
    names = keys.get("names") or {}
    if isinstance(names, list):
        names = {str(k): name for k, name in enumerate(names)}
    return DataSet(
        description,
        labels,
        names if isinstance(names, dict) else {},
        _dimensions(description, keys.get("kpt_shape")),
        _order(keys.get("kpt_names") or keys.get("keypoints")),
    )


def kind(data: DataSet) -> str:
    """The name of the format."""
    return "YOLO-OBB" if data.dimensions is None else "YOLO-pose"


def read(folder: Folder, data: DataSet) -> DrawnSet:
    """Its images, and notes.

    A text file that has no image is a frame that is wrong.
    """
    frames = [_frame(image, file, data) for image, file in data.labels.items()]
    frames += _lost_labels(data)
    bare = sum(not file.is_file() for file in data.labels.values())
    notes = [f"{counted(bare, 'image')} without a label file taken as empty"] if bare else []
    if data.dimensions is not None and data.order is None:
        notes.append("the keypoints are not named (kpt_names), so the top left comes first")
    return DrawnSet(frames, notes, data.description)


def _labels(images: Sequence[Path], description: Path | None) -> dict[Path, Path]:
    """Image → its text file; empty if none of these is there, or nothing says that they are labels."""
    labels = {image: _label_file(image) for image in images}
    known = any(file.is_file() and (description or file.parent != image.parent) for image, file in labels.items())
    return labels if known else {}


def _labels_elsewhere(description: Path) -> dict[Path, Path]:
    """The same of a data set that its YAML file does not lie in, but says the place of.

    Raises:
        DataError: if it is not there.
    """
    path = read_keys(description, ("path",)).get("path")
    root = description.parent / str(path or ".").replace("\\", "/")
    labels = _labels(images_of(root, subfolders=True), description) if root.is_dir() else {}
    if not labels:
        said = f" or in its path, {path}" if path else ""
        raise DataError(
            f"{description}: no images with label files (images/… and labels/….txt) lie beside it{said}: name the "
            "folder of the images, or correct its path"
        )
    return labels


def _label_file(image: Path) -> Path:
    """The text file of an image: in ``labels`` for ``images``, or beside it."""
    beside = image.with_suffix(".txt")
    parts = image.absolute().parts
    places = [k for k, part in enumerate(parts[:-1]) if part == _IMAGES]
    if not places:
        return beside
    mapped = Path(*parts[: places[-1]], _LABELS, *parts[places[-1] + 1 :]).with_suffix(".txt")
    return beside if beside.is_file() and not mapped.is_file() else mapped


def _description(root: Path) -> Path | None:
    """The YAML file in the folder; or above it, where it is called ``data.yaml`` or as the data set."""
    files = [file for file in _yaml_files(root) if "names" in read_keys(file, ("names",))]
    files = [file for file in files if file.stem == "data"] or files
    if len(files) > 1:
        found = ", ".join(file.name for file in files)
        raise DataError(f"{root} holds several YAML files of data sets ({found}): name the file that is meant")
    if files:
        return files[0]
    whole = root.absolute()
    data_sets = [parent.parent for parent in (whole, *whole.parents) if parent.name == _IMAGES]
    data_sets += [whole] if (whole / _IMAGES).is_dir() else []
    for data_set in data_sets[:1]:
        for place in (data_set, data_set.parent):
            named = [file for file in _yaml_files(place) if file.stem in ("data", data_set.name)]
            if named:
                return named[0]
    return None


def _yaml_files(place: Path) -> list[Path]:
    return sorted(file for pattern in ("*.yaml", "*.yml") for file in place.glob(pattern) if file.is_file())


def _dimensions(file: Path | None, shape: Any) -> int | None:
    if shape is None:
        return None
    if shape not in (["4", "2"], ["4", "3"]):
        raise DataError(f"{file}: kpt_shape is {shape}, expected [4, 2] or [4, 3]: a target has four corners")
    return int(shape[1])


def _order(names: Any) -> list[int] | None:
    """Of ``kpt_names``, which ultralytics gives for each class: those of the first one."""
    if isinstance(names, dict):
        names = next(iter(names.values()), None)
    return corner_order(names) if isinstance(names, list) else None


def _lost_labels(data: DataSet) -> Iterator[DrawnFrame]:
    """Text files whose images are missing."""
    known = {file.absolute() for file in data.labels.values()}
    beside = {image.absolute().parent for image in data.labels}
    for folder in sorted({file.parent for file in known} - beside):
        for file in sorted(folder.glob("*.txt")):
            if file not in known and file.stem.lower() not in _NO_LABELS:
                wrong = DataError(f"{file}: its image is missing: put it back, or delete the file")
                yield DrawnFrame(file, (), file, Coordinates.SHARES, wrong=wrong)


def _frame(image: Path, file: Path, data: DataSet) -> DrawnFrame:
    try:
        return DrawnFrame(image, _targets(file, data), file, Coordinates.SHARES)
    except DataError as error:
        return DrawnFrame(image, (), file, Coordinates.SHARES, wrong=error)


def _targets(file: Path, data: DataSet) -> tuple[DrawnTarget, ...]:
    if not file.exists():
        return ()
    lines = read_text(file).splitlines()
    return tuple(_target(file, number, line, data) for number, line in enumerate(lines, 1) if line.strip())


def _target(file: Path, number: int, line: str, data: DataSet) -> DrawnTarget:
    where = f"line {number}"
    words = line.split()
    try:
        numbers = [float(word) for word in words[1:]]
        label = data.names.get(_class_number(words[0]), words[0])
    except ValueError as error:
        raise DataError(f"{file}: {where}: expected a class and numbers ({error})") from error
    if data.dimensions is None:
        if len(words) != _OBB_NUMBERS:
            hint = {
                _BOX_NUMBERS: "it is a box, whose corners are not known",
                13: "for keypoints, give kpt_shape: [4, 2] in data.yaml",
                17: "for keypoints, give kpt_shape: [4, 3] in data.yaml",
            }.get(len(words), "a target has four corners")
            raise DataError(
                f"{file}: {where} has {len(words)} numbers, expected {_OBB_NUMBERS} (class x1 y1 x2 y2 x3 y3 x4 y4): "
                f"{hint}"
            )
        return DrawnTarget([numbers[k : k + 2] for k in range(0, 8, 2)], where, False, label)
    step = data.dimensions
    expected = _BOX_NUMBERS + 4 * step
    if len(words) != expected:
        raise DataError(
            f"{file}: {where} has {len(words)} numbers, expected {expected} (class cx cy w h and four keypoints of "
            f"{step}, as kpt_shape says)"
        )
    points = [numbers[k : k + step] for k in range(4, 4 + 4 * step, step)]
    if any(point[0] == 0 and point[1] == 0 and point[2:] in ([], [0]) for point in points):
        raise DataError(f"{file}: {where} has a keypoint that is not marked: mark all four corners, hidden ones too")
    corners = [points[k][:2] for k in data.order or range(4)]
    return DrawnTarget(corners, where, data.order is not None, label)


def _class_number(word: str) -> str:
    """As the description writes it; some programs write 0.0."""
    whole, _, fraction = word.partition(".")
    return str(int(word if fraction.strip("0") else whole))
