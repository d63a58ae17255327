"""The files of the workstation: replaced in one step, called by what they hold, hashed.

Networks that belong together are called ``NAME.keras``, ``NAME.whole.keras``, ``NAME.refine.keras``,
``NAME.turn.keras`` and ``NAME.recognizer.keras``.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.errors import DataError, UsageError
from stn_rectify.runtime.files import partial_file as partial_file  # handed on

#: A network that corrects the poses of ``NAME.keras``, a classifier of what it rectifies, and one that says which side
#: of that is up.
REFINE_SUFFIX, RECOGNIZER_SUFFIX, TURN_SUFFIX = ".refine.keras", ".recognizer.keras", ".turn.keras"
#: A scan network that looks at the whole frame beside the dense one of ``NAME.keras``.
WHOLE_SUFFIX = ".whole.keras"

#: In such files Keras 2 kept whole models; Keras 3 reads them.
HDF5_SUFFIXES = (".h5", ".hdf5")
#: Files of models that `stn_rectify.models.network.keras_file.load_model` reads.
MODEL_SUFFIXES = (".keras", *HDF5_SUFFIXES)

#: Files of models of other frameworks, which stn-convert reads.
ONNX_SUFFIX = ".onnx"

#: What a network is for; its .keras file says it (`stn_rectify.models.network.keras_file`).
SCAN, DENSE, REFINE, TURN, RECOGNIZER = "scan", "dense", "refine", "turn", "recognizer"

#: A scan network in the file of a dense one: its .keras file says `SCAN`, and its name that it is this.
WHOLE = "whole"

#: How a file is called by the kind of its network.
NETWORK_SUFFIXES = {
    REFINE: REFINE_SUFFIX,
    TURN: TURN_SUFFIX,
    WHOLE: WHOLE_SUFFIX,
    RECOGNIZER: RECOGNIZER_SUFFIX,
    SCAN: ".keras",
    DENSE: ".keras",
}


def kind_by_name(file: Path) -> str:
    """The kind of network that a file holds by its name."""
    return next((kind for kind, suffix in NETWORK_SUFFIXES.items() if file.name.endswith(suffix)), SCAN)


def is_refine_file(file: Path) -> bool:
    """Tells whether a file is called as a refine network is."""
    return file.name.endswith(REFINE_SUFFIX)


def check_refine_name(out: Path, *, refines: bool) -> None:
    """Checks that a result is called as a refine network is, if and only if it is one.

    Raises:
        UsageError: if the name and the kind of the network do not agree.
    """
    if refines != is_refine_file(out):
        raise UsageError(f"--out {out}: a refine network, and no other, is called NAME{REFINE_SUFFIX}")


def refine_file_of(scan: Path) -> Path:
    """The file of the refine network of ``NAME.keras``, which need not exist."""
    return scan.with_name(scan.name.removesuffix(".keras") + REFINE_SUFFIX)


def turn_file_of(scan: Path) -> Path:
    """The file of the turn network of ``NAME.keras``, which need not exist."""
    return scan.with_name(scan.name.removesuffix(".keras") + TURN_SUFFIX)


def is_turn_file(file: Path) -> bool:
    """Tells whether a file is called as a turn network is."""
    return file.name.endswith(TURN_SUFFIX)


def scan_file_of_turn(turn: Path) -> Path:
    """The file of the network whose rectified targets a turn network looks at."""
    return turn.with_name(turn.name.removesuffix(TURN_SUFFIX) + ".keras")


def whole_file_of(dense: Path) -> Path:
    """The file of the scan network that goes into that of the dense ``NAME.keras``, which need not exist."""
    return dense.with_name(dense.name.removesuffix(".keras") + WHOLE_SUFFIX)


def companion_suffix(file: Path) -> str | None:
    """How a network's file ends that goes into the file of ``NAME.keras``; None of any other."""
    return next((s for s in (WHOLE_SUFFIX, REFINE_SUFFIX, TURN_SUFFIX) if file.name.endswith(s)), None)


def negatives_of(recognizer: Path) -> Path:
    """The file of images that show nothing a recognizer knows, beside ``NAME.recognizer.keras``."""
    return recognizer.with_name(recognizer.name.removesuffix(".keras") + ".negatives.npz")


def labels_file_of(network: Path) -> Path:
    """The file of the classes' names, beside ``NAME.keras`` and ``NAME.recognizer.keras``."""
    return network.with_name(network.name.removesuffix(RECOGNIZER_SUFFIX).removesuffix(".keras") + ".labels.txt")


def scan_file_of(refine: Path) -> Path:
    """The file of the network whose poses a refine network corrects."""
    return refine.with_name(refine.name.removesuffix(REFINE_SUFFIX) + ".keras")


#: The networks that the bundled device files were made of, beside their cards; a checkout has them, a wheel does not.
_BUNDLED = Path(__file__).parent / "data"


def bundled_networks(suffix: str) -> tuple[str, ...]:
    """Names of the bundled networks of one kind, whose files end in ``suffix``; none in an installed wheel."""
    others = [other for other in NETWORK_SUFFIXES.values() if other != suffix and other.endswith(suffix)]
    files = (file.name for file in sorted(_BUNDLED.glob(f"*{suffix}")))
    return tuple(name.removesuffix(suffix) for name in files if not name.endswith(tuple(others)))


def network_file(file: Path, suffix: str) -> Path:
    """The .keras file that an option names: a path, or the bare name of a bundled network.

    Args:
        file: what was given.
        suffix: how files of such networks end, see `NETWORK_SUFFIXES`.

    Raises:
        UsageError: if it is a bare name, and neither a file nor a bundled network is called so.
    """
    if file.suffix or len(file.parts) > 1 or file.exists():
        return file
    bundled = bundled_networks(suffix)
    if file.name in bundled:
        return _BUNDLED / f"{file.name}{suffix}"
    names = ", ".join(bundled) or "they come with a checkout of the sources, not with a wheel"
    raise UsageError(f"{file} is no .keras file and no bundled network of this kind ({names}): give a path")


def write_arrays(file: Path, arrays: Mapping[str, npt.ArrayLike], *, compress: bool = True) -> None:
    """Writes an .npz file of arrays by their names, whole or not at all.

    Raises:
        DataError: if it cannot be written; the file that was there before still is.
    """
    content = io.BytesIO()  # on a full disk, ZipFile would print errors of its own
    (np.savez_compressed if compress else np.savez)(content, **arrays)
    with partial_file(file) as partial:
        partial.write_bytes(content.getbuffer())


def sha256_of_file(file: Path) -> str:
    """SHA-256 of a model's file: a stopped training goes on with the same ones only.

    Raises:
        DataError: if the file cannot be read.
    """
    try:
        return sha256_of(file)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error


def sha256_of(source: Path) -> str:
    """SHA-256 of a file's content; of a folder's, over the names and contents of all files in it.

    Raises:
        OSError: if the file, or one in the folder, cannot be read.
    """
    if not source.is_dir():
        return _digest_of(source)
    return sha256_of_files({str(f.relative_to(source)): f for f in source.rglob("*") if f.is_file()})


def sha256_of_files(files: Mapping[str, Path]) -> str:
    """SHA-256 over names and contents.

    Raises:
        OSError: if a file cannot be read.
    """
    digest = hashlib.sha256()
    for name in sorted(files):
        line = f"{name}\0{_digest_of(files[name])}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))  # a file's name can be any bytes
    return digest.hexdigest()


def _digest_of(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
