"""Trained models in .keras files, written and read; a file says what kind of network is in it."""

from __future__ import annotations

import json
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
from keras.src.saving.serialization_lib import SafeModeScope
from keras.src.utils import python_utils

from stn_rectify.models.files import HDF5_SUFFIXES, NETWORK_SUFFIXES, SCAN, WHOLE, kind_by_name, partial_file
from stn_rectify.runtime.errors import DataError, first_line

_NOT_LOADED = "is not a Keras model that can be loaded"
# Models in files that are called otherwise, and what to give instead.
_OTHER_FILES = {
    ".tflite": "a TensorFlow Lite file, already converted: give the .keras file that it was made from",
    ".onnx": "an ONNX file, which stn-convert alone takes: give a .keras file",
    ".pb": "a graph of TensorFlow: give the folder of its SavedModel",
    **dict.fromkeys(
        (".pt", ".pth"),
        "a file of PyTorch: export the network (torch.onnx.export), and give stn-convert the .onnx file",
    ),
}
# Names of layers that Keras 2 has, and Keras 3 has not.
_OF_KERAS_2 = (
    "OpLambda", "ClassMethod", "InstanceMethod", "InstanceProperty", "LocallyConnected", "ThresholdedReLU",
    "SyncBatchNormalization", "CuDNN", "RandomHeight", "RandomWidth", "DenseFeatures", "TensorFlowOpLayer",
)  # fmt: skip
_HDF5 = b"\x89HDF\r\n\x1a\n"
_TFLITE = b"TFL3"  # behind the first four bytes

# One more file in the archive that Keras writes; Keras does not look at it.
_KIND_FILE, _KIND_FORMAT = "stn_rectify.json", "stn-rectify-network/1"
# What `zipfile` raises where there is no file, or no archive that can be read.
_DAMAGED_ARCHIVE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, OSError, EOFError, RuntimeError, ValueError,
)  # fmt: skip


def save_model(model: keras.Model, file: Path, kind: str) -> None:
    """Writes a trained model as a .keras file, whole or not at all.

    Args:
        model: the network.
        file: where to; an existing file is replaced.
        kind: what the network is for: `SCAN`, `DENSE`, `REFINE`, `TURN` or `RECOGNIZER` of
            `stn_rectify.models.files`.

    Raises:
        DataError: if the file cannot be written.
    """
    with partial_file(file) as partial:
        model.save(partial)
        with zipfile.ZipFile(partial, "a") as archive:
            # ZipInfo's own date, 1980: the entry is the same bytes whenever it is written.
            archive.writestr(zipfile.ZipInfo(_KIND_FILE), json.dumps({"format": _KIND_FORMAT, "kind": kind}) + "\n")


def network_kind(file: Path) -> str:
    """Reads what kind of network a .keras file holds; a file that does not say it is judged by its name.

    Networks that belong together find each other by their names, so a stored kind must agree with the name. A scan
    network may be called as one that goes into the file of a dense network.

    Raises:
        DataError: if its kind is damaged, unknown, or another than its name says. A file that cannot be read is judged
            by its name.
    """
    named = kind_by_name(file)
    stored = _stored_kind(file)
    if stored is None:
        return named
    if stored not in NETWORK_SUFFIXES:
        raise DataError(
            f"{file} holds a network of an unknown kind, {stored!r}: a newer version wrote it, update stn-rectify"
        )
    if NETWORK_SUFFIXES[stored] == NETWORK_SUFFIXES[named]:
        return stored
    if (stored, named) == (SCAN, WHOLE):
        return WHOLE
    name = file.name.removesuffix(NETWORK_SUFFIXES[named]) + NETWORK_SUFFIXES[stored]
    raise DataError(f"{file} holds a {stored} network, but is called as a {named} network is: rename it to {name}")


def _stored_kind(file: Path) -> str | None:
    try:
        with zipfile.ZipFile(file) as archive:
            if _KIND_FILE not in archive.namelist():
                return None
            text = archive.read(_KIND_FILE)
    except _DAMAGED_ARCHIVE:
        return None  # `load_model` says what is wrong with it
    try:
        return str(json.loads(text)["kind"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: {_KIND_FILE} in it is damaged ({first_line(error)}): save the model again") from error


class LegacyFileError(DataError):
    """An .h5 file that Keras 3 cannot load; Keras 2 wrote it, and may."""


def load_model(file: Path, custom_objects: Mapping[str, Any] | None = None) -> keras.Model:
    """Loads a trained .keras file, or an .h5 file of a whole model.

    Args:
        file: the file.
        custom_objects: classes and functions that it needs, by name. Code in the file itself (of Lambda layers) is run
            then, too; None: none is.

    Raises:
        DataError: if it is missing, truncated, or not a Keras model that can be loaded.
    """
    if not file.is_file():
        raise DataError(f"{file}: no such file")
    with file.open("rb") as stream:
        start = stream.read(len(_HDF5))
    is_hdf5 = start == _HDF5
    other = ".tflite" if start[4:] == _TFLITE else file.suffix.lower()
    if not is_hdf5 and other in _OTHER_FILES:  # of which some are zip archives, too
        raise DataError(f"{file} is {_OTHER_FILES[other]}")
    if is_hdf5 and file.suffix not in HDF5_SUFFIXES:
        raise DataError(f"{file} is an HDF5 file: rename it to {file.stem}.h5")
    if not is_hdf5 and not zipfile.is_zipfile(file):
        wanted = "an .h5 file" if file.suffix in HDF5_SUFFIXES else "a .keras file"
        raise DataError(f"{file} is not {wanted}, or was cut short: save the model again, or copy it again")
    try:
        _lend_to_lambdas(custom_objects or {})
        is_safe = custom_objects is None
        with SafeModeScope(is_safe):  # Keras before 3.11.3 forgets safe_mode where the file is an .h5
            return keras.models.load_model(
                file, custom_objects=dict(custom_objects or {}), compile=False, safe_mode=is_safe
            )
    except Exception as error:  # Keras raises whatever its parts raise
        problem = f"{file} {_reason(error, has_code=custom_objects is not None)}"
        only_there = is_hdf5 and (_NOT_LOADED in problem or any(name in problem for name in _OF_KERAS_2))
        raise (LegacyFileError if only_there else DataError)(problem) from error


def start_from(model: keras.Model, file: str, remedy: str) -> None:
    """Gives a new network the weights of a trained one.

    Args:
        model: the network.
        file: the trained one's .keras file.
        remedy: what to do should that be another network than this.

    Raises:
        DataError: if the file cannot be read, or holds another network.
    """
    trained = load_model(Path(file))
    if [(v.name, v.shape) for v in trained.variables] != [(v.name, v.shape) for v in model.variables]:
        raise DataError(f"{file} is another network than the one asked for: {remedy}")
    model.set_weights(trained.get_weights())


def _lend_to_lambdas(objects: Mapping[str, Any]) -> None:
    """Lets the code of Lambda layers find names: Keras keeps the code of a function without what surrounded it.

    It gives that code the names of one of its own modules, for as long as the layer lives.
    """
    for name, value in objects.items():
        vars(python_utils).setdefault(name, value)


def keras_reason(error: Exception) -> str:
    """The reason of an error of Keras in one line: not in which call it was, which Keras puts before it in bold."""
    bold = re.search(r"\x1b\[1m(.+?)\x1b\[0m", str(error), re.DOTALL)
    return first_line(error) if bold is None else " ".join(bold[1].split())


def _unknown_name(error: BaseException | None) -> str | None:
    """The name that code of a Lambda layer does not find; Keras hides that behind errors of its own."""
    while error is not None:
        if isinstance(error, NameError) and error.name:
            return str(error.name)
        error = error.__cause__ or error.__context__
    return None


def _reason(error: Exception, *, has_code: bool) -> str:
    """Gives the reason why a file cannot be loaded, and what to do, in one line.

    Args:
        error: what Keras raised.
        has_code: whether it was given classes and functions.
    """
    message = str(error)
    missing = re.search(r"(?:Could not locate|Unknown) ([\w ]+?):? '([^']+)'", message)  # of .keras, and of .h5 files
    if missing is not None:
        kind, name = missing.groups()
        if has_code:
            return f"needs the {kind} {name!r}, which the file of --custom-objects lacks: define or import it there"
        return (
            f"needs the {kind} {name!r}, which is not part of Keras or stn_rectify: give stn-convert --custom-objects "
            "FILE.py with it (runs its code), or export the model as a SavedModel"
        )
    unknown = _unknown_name(error)
    if unknown is not None:
        return f"uses the name {unknown!r}: define it in the file of --custom-objects"
    if "No model config found" in message:
        return "holds weights alone, no model: give the file that model.save(...) wrote"
    if "safe_mode=False" in message or "unsafe" in message:
        return (
            "has a Lambda layer, whose code is not run unasked: give stn-convert --custom-objects FILE.py with the "
            "names that it uses (runs both), or export the model as a SavedModel"
        )
    return f"{_NOT_LOADED}: {keras_reason(error)}"
