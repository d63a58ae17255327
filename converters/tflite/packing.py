"""metadata.json and labels.txt, appended to a flatbuffer as a zip archive (docs/model-file.md)."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from typing import Any

__all__ = ["pack"]

_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same input gives the same bytes


def pack(flatbuffer: bytes, metadata: dict[str, Any], labels: Sequence[str] = ()) -> bytes:
    """The model file: flatbuffer, then the archive; length and SHA-256 of the flatbuffer are added to the metadata."""
    digest = hashlib.sha256(flatbuffer).hexdigest()
    metadata = {**metadata, "flatbuffer": {"bytes": len(flatbuffer), "sha256": digest}}
    file = io.BytesIO(flatbuffer)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (
            ("metadata.json", json.dumps(metadata, indent=2) + "\n"),
            ("labels.txt", "".join(f"{label}\n" for label in labels)),
        ):
            info = zipfile.ZipInfo(name, _LONG_AGO)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, text)
    return file.getvalue()
