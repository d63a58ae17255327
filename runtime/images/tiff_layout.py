"""Where the parts of a TIFF file lie (TIFF 6.0, section 2; BigTIFF)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

IMAGE_WIDTH, IMAGE_LENGTH, BITS_PER_SAMPLE, ORIENTATION = 256, 257, 258, 274
_DATA = ((273, 279), (324, 325), (513, 514))  # offsets and byte counts: strips, tiles, old JPEG
_DIRECTORIES = (330, 34665, 34853, 40965)  # of reduced images, EXIF, GPS, interoperability
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_WHOLE_NUMBERS = frozenset({1, 3, 4, 13, 16, 18})
_MOST_ENTRIES = 4096


@dataclass(frozen=True)
class TiffEntry:
    """A tag's values.

    Attributes:
        kind: their type, as TIFF numbers it.
        count: how many there are.
        start: where the first of them lies, bytes from the file's start.
    """

    kind: int
    count: int
    start: int

    @property
    def end(self) -> int:
        """The place after the last one."""
        return self.start + self.count * _TYPE_SIZES.get(self.kind, 1)


@dataclass(frozen=True)
class TiffDirectory:
    """One image's tags.

    Attributes:
        start: where it lies, bytes from the file's start.
        end: the place after it.
        entries: the values of each tag.
        following: where the next image's directory lies; 0 for the last.
    """

    start: int
    end: int
    entries: dict[int, TiffEntry]
    following: int


class TiffLayout:
    """The directories of a TIFF file.

    Args:
        read: gives so many bytes from a place on, fewer where the file ends.
    """

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        self._read = read
        start = read(0, 8)
        self._is_little = start[:2] == b"II"
        self._is_big = start[2:4] in (b"+\0", b"\0+")

    @property
    def first_place(self) -> tuple[int, int]:
        """Where the place of the first directory is written, and in how many bytes."""
        return (8, 8) if self._is_big else (4, 4)

    def pages(self) -> Iterator[TiffDirectory]:
        """The directories of the images that follow one another; a loop among them ends it, as does damage."""
        seen = set[int]()
        place = self._number(*self.first_place)
        while place and place not in seen:
            seen.add(place)
            directory = self._directory(place)
            if directory is None:
                return
            yield directory
            place = directory.following

    def end(self) -> int:
        """The place after the last byte that anything in the file points to."""
        end, seen = sum(self.first_place), set[int]()
        waiting = list(self.pages())
        while waiting:
            directory = waiting.pop()
            if directory.start in seen:
                continue
            seen.add(directory.start)
            end = max(end, directory.end, *(entry.end for entry in directory.entries.values()))
            for places, sizes in _DATA:
                starts, counts = self.values(directory, places), self.values(directory, sizes)
                end = max(end, *(start + count for start, count in zip(starts, counts, strict=False)), 0)
            for tag in _DIRECTORIES:
                waiting += filter(None, (self._directory(place) for place in self.values(directory, tag)))
        return end

    def values(self, directory: TiffDirectory, tag: int) -> list[int]:
        """The whole numbers of a tag; none if it is not there."""
        entry = directory.entries.get(tag)
        if entry is None or entry.kind not in _WHOLE_NUMBERS:
            return []
        size = _TYPE_SIZES[entry.kind]
        data = self._read(entry.start, entry.count * size)
        return [self._whole(data[at : at + size]) for at in range(0, len(data) - size + 1, size)]

    def _directory(self, place: int) -> TiffDirectory | None:
        count_size, entry_size, value_size = (8, 20, 8) if self._is_big else (2, 12, 4)
        count = self._number(place, count_size)
        if not 0 < count <= _MOST_ENTRIES:
            return None
        start = place + count_size
        table = self._read(start, count * entry_size)
        if len(table) < count * entry_size:
            return None
        entries = {}
        for at in range(0, len(table), entry_size):
            tag, kind = self._whole(table[at : at + 2]), self._whole(table[at + 2 : at + 4])
            number = self._whole(table[at + 4 : at + 4 + value_size])
            is_inside = number * _TYPE_SIZES.get(kind, 1) <= value_size
            value = table[at + 4 + value_size : at + entry_size]
            entries[tag] = TiffEntry(kind, number, start + at + 4 + value_size if is_inside else self._whole(value))
        end = start + len(table)
        return TiffDirectory(place, end + value_size, entries, self._number(end, value_size))

    def _number(self, place: int, size: int) -> int:
        return self._whole(self._read(place, size))

    def _whole(self, data: bytes) -> int:
        return int.from_bytes(data, "little" if self._is_little else "big")

    def bytes_of(self, number: int, size: int) -> bytes:
        """A whole number as it is written there."""
        return number.to_bytes(size, "little" if self._is_little else "big")
