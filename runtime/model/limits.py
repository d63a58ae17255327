"""How much a model file may unpack to: a small file can ask for more memory than there is."""

from __future__ import annotations

from dataclasses import dataclass

from stn_rectify.runtime.checks import check_whole
from stn_rectify.runtime.errors import UsageError, shown

#: The bytes of texts in an archive, and of tensors, that are plenty for every network that suits a small computer.
ARCHIVE_BYTES = 4_000_000
TENSOR_BYTES = 1_000_000_000


@dataclass(frozen=True)
class ModelLimits:
    """The most that a model file, or a recognizer's, may unpack to. What needs more is refused before it is unpacked.

    Attributes:
        archive_bytes: of the texts that are read from the archive at a file's end, in sum, and of the archive's list of
            its files.
        tensor_bytes: of all tensors of a file's graphs in sum, as their operators will make them, and of the largest
            working space of one operator. An interpreter needs less: tensors that are used up make room for others.

    Raises:
        UsageError: if one is no whole number from 1.
    """

    archive_bytes: int = ARCHIVE_BYTES
    tensor_bytes: int = TENSOR_BYTES

    def __post_init__(self) -> None:
        for name in ("archive_bytes", "tensor_bytes"):
            object.__setattr__(self, name, check_whole(name, getattr(self, name), 1))


def checked_limits(limits: object) -> ModelLimits:
    """The limits of an argument of that name; the default ones for None.

    Raises:
        UsageError: if it is something else.
    """
    if limits is None:
        return ModelLimits()
    if not isinstance(limits, ModelLimits):
        raise UsageError(f"limits is {shown(limits)}: must be ModelLimits(archive_bytes=, tensor_bytes=), or None")
    return limits
