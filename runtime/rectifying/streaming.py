"""The frames of a source, rectified one after the other, past those that fail."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.errors import DataError, StnRectifyError, UsageError, warn
from stn_rectify.runtime.results import Rectification
from stn_rectify.runtime.sources import open_source

_OPTIONS = tuple(inspect.signature(open_source).parameters)[2:]  # source and on_error have their own places


def rectified_frames(
    rectify: Callable[[Array], Rectification],
    source: object,
    on_error: Callable[[StnRectifyError], None] | None,
    options: Mapping[str, Any],
) -> Iterator[Rectification]:
    """Yields what `rectify` makes of each frame; see `Rectifier.stream`, of which ``source`` and ``on_error`` are.

    Args:
        rectify: makes a target upright.
        source: is opened at the first result that is asked for, and closed behind the last one; an open one stays open.
        on_error: is told of what is left out; None warns of it.
        options: of `open_source`.

    Raises:
        UsageError: if there is no such option.
        StnRectifyError: if the source cannot be opened, or is lost; of a source without a result its last error.
    """
    last: StnRectifyError | None = None
    has_result = False

    def failed(error: StnRectifyError) -> None:
        nonlocal last
        last = error
        if on_error is None:
            warn(str(error))
        else:
            on_error(error)

    unknown = next((name for name in options if name not in _OPTIONS), None)
    if unknown is not None:
        several = "; a Pipeline finds several" if unknown == "max_targets" else ""
        raise UsageError(f"stream has no option {unknown!r}{several}: it takes {', '.join(_OPTIONS)}")
    opened = open_source(source, on_error=failed, **options)
    with contextlib.nullcontext(opened) if opened is source else opened:
        for frame in opened:
            try:
                result = replace(rectify(frame.image), frame=frame)
            except DataError as error:
                failed(DataError(f"{frame.source}: {error}"))
                continue
            has_result = True
            yield result
    if last is not None and not has_result:
        raise last
