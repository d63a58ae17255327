"""A good file taken apart, and what must be refused of the metadata of any further network in it."""

from __future__ import annotations

import copy
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stn_rectify.runtime import ModelFile, ModelFileError

#: Flatbuffer and metadata.
Parts = tuple[bytes, dict[str, Any]]
#: Writes a file of them.
Rewrite = Callable[..., Path]


def parts_of(file: Path) -> Parts:
    with zipfile.ZipFile(file) as archive:
        metadata = json.loads(archive.read("metadata.json"))
    return file.read_bytes()[: metadata["flatbuffer"]["bytes"]], metadata


def check_wrong_metadata(rewrite: Rewrite, parts: Parts, network: str, key: str, value: object, message: str) -> None:
    """A wrong value of a key of a network's metadata, or of all of them (""), is named, with what to do."""
    metadata = copy.deepcopy(parts[1])
    if key:
        metadata[network][key] = value
    else:
        metadata[network] = value
    with pytest.raises(ModelFileError, match=f"{re.escape(message)}.*convert the Keras model again"):
        ModelFile.open(rewrite(parts[0], metadata))


def check_missing_keys(rewrite: Rewrite, parts: Parts, network: str) -> None:
    """A network's metadata without any one of its keys are refused by that key."""
    flatbuffer, metadata = parts
    for key in metadata[network]:
        less = {name: value for name, value in metadata[network].items() if name != key}
        with pytest.raises(ModelFileError, match=rf"missing required field `{key}` - at `\$\.{network}`"):
            ModelFile.open(rewrite(flatbuffer, {**metadata, network: less}))
