"""What is written on a target, where a tool keeps it among other attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Names of the attribute, in small letters without what lies between the words.
_NAMES = ("text", "utf8string", "transcription", "platenumber", "licenseplate", "plate", "number")


def written_text(attributes: Mapping[str, Any]) -> str:
    """The text among the attributes of a target; empty if none is called so."""
    plain = {"".join(c for c in name.lower() if c.isalnum()): value for name, value in attributes.items()}
    return next((str(plain[name]) for name in _NAMES if isinstance(plain.get(name), str | int)), "")
