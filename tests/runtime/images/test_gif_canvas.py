"""GIFs whose frames make the canvas larger: what is too large is refused before Pillow makes room for it."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import GifImagePlugin, Image

from stn_rectify.runtime import SourceError
from stn_rectify.runtime.images.gif_canvas import canvases
from stn_rectify.runtime.images.reading import read_pages

_LIMIT = 1_000_000


def animation(huge: int | None, disposal: int = 0, count: int = 4) -> bytes:
    """A GIF of 16x12 and so many frames; of one the frame is 20000x20000."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, 12, 16, 3), np.uint8)
    kept, first = BytesIO(), Image.fromarray(pixels[0])
    more = [Image.fromarray(one) for one in pixels[1:]]
    first.save(kept, "GIF", save_all=True, append_images=more, disposal=disposal)
    content = bytearray(kept.getvalue())
    if huge is not None:
        frames = [at for at in range(len(content) - 9) if content[at : at + 9] == b",\0\0\0\0\x10\0\x0c\0"]
        assert len(frames) == count
        content[frames[huge] + 5 : frames[huge] + 9] = (20_000).to_bytes(2, "little") * 2
    return bytes(content)


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Pixels of what Pillow looked for or decoded."""
    seen: list[int] = []

    def watched(plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(opened: Any, *words: Any) -> Any:
            seen.append(opened.size[0] * opened.size[1])
            try:
                return plain(opened, *words)
            finally:
                seen.append(opened.size[0] * opened.size[1])

        return call

    for name in ("load", "_seek"):
        monkeypatch.setattr(GifImagePlugin.GifImageFile, name, watched(getattr(GifImagePlugin.GifImageFile, name)))
    return seen


@pytest.mark.parametrize("disposal", [0, 2, 3])
@pytest.mark.parametrize("huge", [1, 2, 3])
def test_frames_are_refused_from_the_one_on_that_makes_the_canvas_too_large(
    huge: int, disposal: int, sizes: list[int]
) -> None:
    pages = list(read_pages(BytesIO(animation(huge, disposal)), "image.gif", max_pixels=_LIMIT))
    refused = [isinstance(page.image, SourceError) for page in pages]
    assert refused == [False] * huge + [True] * (4 - huge)
    assert "20000x20000 are 400 million pixels" in str(pages[-1].image)
    assert sizes
    assert max(sizes) <= _LIMIT


def test_a_first_frame_that_is_too_large_is_refused_before_it_is_opened(sizes: list[int]) -> None:
    with pytest.raises(SourceError, match="20000x20000 are 400 million pixels"):
        list(read_pages(BytesIO(animation(0, 2)), "image.gif", max_pixels=_LIMIT))
    assert not sizes


def test_sizes_are_read_of_whole_files_and_of_what_is_left_of_them() -> None:
    content = animation(2)
    stream = BytesIO(content)
    stream.seek(7)
    assert canvases(stream) == [(16, 12)] * 2 + [(20_000, 20_000)] * 2
    assert stream.tell() == 7
    assert [len(canvases(BytesIO(content[:length]))) for length in (0, 5, 13, len(content) - 1)] == [0, 0, 0, 4]
    assert canvases(BytesIO(b"\x89PNG\r\n\x1a\n" + bytes(40))) == []
    for length in range(len(content)):
        assert len(canvases(BytesIO(content[:length]))) <= 4
