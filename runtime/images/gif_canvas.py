"""How large the canvas of a GIF is at each of its frames.

A frame that goes beyond the canvas makes it larger, up to 65535x65535 from two kilobytes. Pillow makes room for that
while it looks for the frame, and decodes a frame when it looks for the next one; so sizes are read before.
"""

from __future__ import annotations

from typing import BinaryIO

_START, _EXTENSION, _IMAGE, _END = b"GIF8", b"!", b",", b";"


def canvases(stream: BinaryIO) -> list[tuple[int, int]]:
    """Reads the sizes; the stream is afterwards where it was.

    Args:
        stream: of a file of whatever kind.

    Returns:
        Width and height at each frame that begins in it, in pixels; none if it is no GIF.
    """
    place, found = stream.tell(), list[tuple[int, int]]()
    try:
        stream.seek(0)
        head = stream.read(13)
        if not head.startswith(_START) or len(head) < 13:
            return found
        width, height = _number(head, 6), _number(head, 8)
        _skip_palette(stream, head[10])
        while (block := stream.read(1)) not in (b"", _END):
            if block == _EXTENSION:
                stream.read(1)
                _skip_blocks(stream)
            elif block == _IMAGE:
                frame = stream.read(9)
                if len(frame) < 9:
                    break
                width = max(width, _number(frame, 0) + _number(frame, 4))
                height = max(height, _number(frame, 2) + _number(frame, 6))
                found.append((width, height))
                _skip_palette(stream, frame[8])
                stream.read(1)  # bits of a code
                _skip_blocks(stream)
    finally:
        stream.seek(place)
    return found


def _number(content: bytes, at: int) -> int:
    return int.from_bytes(content[at : at + 2], "little")


def _skip_palette(stream: BinaryIO, flags: int) -> None:
    if flags & 128:
        stream.read(3 << (flags & 7) + 1)


def _skip_blocks(stream: BinaryIO) -> None:
    while (length := stream.read(1)) not in (b"", b"\0"):
        stream.read(length[0])
