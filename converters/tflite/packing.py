"""metadata.json and labels.txt, appended to a flatbuffer as a zip archive (docs/model-file.md)."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence

import msgspec

from stn_rectify.runtime.model.metadata import Metadata, RecognizerMetadata

__all__ = ["pack"]

_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same input gives the same bytes


def pack(flatbuffer: bytes, metadata: Metadata | RecognizerMetadata, labels: Sequence[str] = ()) -> bytes:
    """The model file: flatbuffer, then the archive."""
    file = io.BytesIO(flatbuffer)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (
            # Numbers as Python writes them: msgspec's own JSON has 1e-5 for 1e-05.
            ("metadata.json", json.dumps(msgspec.to_builtins(metadata), indent=2) + "\n"),
            ("labels.txt", "".join(f"{label}\n" for label in labels)),
        ):
            info = zipfile.ZipInfo(name, _LONG_AGO)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, text)
    return file.getvalue()
