"""The models that are meant by the arguments of a command."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from stn_rectify.converters.reading.model_files import is_saved_model, model_of_companion, output_name
from stn_rectify.models.files import MODEL_SUFFIXES, ONNX_SUFFIX, kind_by_name
from stn_rectify.runtime.errors import UsageError

_LONGEST_SUFFIX = ".report.partial.json"  # of the names that are made of a model's, the unfinished ones included

_FOLDERS_LOOKED_INTO = 1000  # for models below a folder without any: a whole disk may lie there


def find_models(inputs: Sequence[str | Path], *, into: bool = False) -> list[Path]:
    """The models that are named, lie in folders that are named, or match a pattern, in order and each once.

    A ``NAME.whole.keras``, ``NAME.refine.keras`` or ``NAME.turn.keras`` beside ``NAME.keras`` goes into the file of
    that one and is no model of its own.

    Args:
        inputs: .keras, .h5 and .onnx files; SavedModel folders; folders of these; glob patterns of all, ``**`` too.
        into: whether the models are networks for a finished file, and each is one of its own.

    Raises:
        UsageError: if an input is missing or holds no model, two models would have the same output, or such a network
            is named without the model that it lies beside.
    """
    models: dict[Path, Path] = {}
    for argument in inputs:
        for model in _models_of(str(argument)):
            models.setdefault(model.resolve(), model)
    if not into:
        models = {path: model for path, model in models.items() if not _is_companion(model, models)}
    by_name: dict[str, Path] = {}
    for model in models.values():
        namesake = by_name.setdefault(output_name(model), model)
        if namesake is not model:
            raise UsageError(
                f"several inputs would be written to {output_name(model)}.tflite and replace each other "
                f"({namesake}, {model}): use several --out"
            )
    return list(models.values())


def unusable_name(source: Path, out: Path) -> str | None:
    """Gives the reason why no files can be called after a model, in one line; None if they can.

    Args:
        source: the model.
        out: the folder for the files; it exists.
    """
    try:
        str(source).encode()
    except UnicodeEncodeError:
        return f"{source} is not valid UTF-8, as the names in a manifest and a report must be: rename it"
    longest, size = os.pathconf(out, "PC_NAME_MAX"), len(os.fsencode(output_name(source) + _LONGEST_SUFFIX))
    if size > longest:
        name = output_name(source)
        return f"{name} is {size - longest} bytes too long for a name: NAME{_LONGEST_SUFFIX} would not fit; rename it"
    return None


def _is_companion(file: Path, inputs: Mapping[Path, Path]) -> bool:
    """Tells whether a file is a network that goes into the file of one of the inputs.

    Raises:
        UsageError: if it is that of a model that is none of them.
    """
    model = model_of_companion(file)
    if model is not None and model.resolve() not in inputs:
        raise UsageError(f"{file} is the {kind_by_name(file)} network of {model}, and goes into its file: give {model}")
    return model is not None


def _models_of(argument: str) -> list[Path]:
    path = Path(argument)
    if path.name in ("", ".."):
        path = path.resolve()  # the outputs take their name from it
    if path.is_dir():
        models = list(_in_folder(path))
        if not models:
            raise UsageError(
                f"{path}: no .keras, .h5 or .onnx files and no SavedModel folders in this folder{_deeper(path)}"
            )
        return models
    if path.exists():
        return [path]
    if not glob.has_magic(argument):
        raise UsageError(f"{path}: no such file or folder")
    models = []
    for match in map(Path, sorted(glob.glob(argument, recursive=True))):
        if match.is_dir():
            models += _in_folder(match)
        elif _is_model_file(match):
            models.append(match)
    if not models:
        raise UsageError(
            f"{argument}: this pattern matches no .keras, .h5 or .onnx file, SavedModel folder or folder of them"
        )
    return models


def _deeper(folder: Path) -> str:
    """How models below a folder are named, if there are any."""
    for root, folders, names in islice(os.walk(folder), _FOLDERS_LOOKED_INTO):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if is_saved_model(Path(root)):
            return f" itself; '{folder}/**' takes those below it, too"
        found = next((Path(name) for name in sorted(names) if _is_model_file(Path(name))), None)
        if found is not None:
            return f" itself; '{folder}/**/*{found.suffix}' takes those below it, too"
    return ""


def _in_folder(folder: Path) -> Iterator[Path]:
    if is_saved_model(folder):
        yield folder
        return
    for path in sorted(folder.iterdir()):
        if (_is_model_file(path) and path.is_file()) or is_saved_model(path):
            yield path


def _is_model_file(path: Path) -> bool:
    """Tells by its name whether a file holds a model: not only weights, as NAME.weights.h5 does."""
    return path.suffix in (*MODEL_SUFFIXES, ONNX_SUFFIX) and not path.name.endswith(".weights.h5")
