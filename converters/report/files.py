"""The files of a report, beside the model file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stn_rectify.converters.report.page import write_html
from stn_rectify.converters.report.pictures import AlignmentPicture, FramePicture, write_sheet
from stn_rectify.models.files import partial_file

__all__ = ["write_report"]


def write_report(
    out: Path,
    report: Mapping[str, Any],
    pictures: Sequence[FramePicture] = (),
    alignment: Sequence[AlignmentPicture] = (),
) -> None:
    """Writes ``NAME.report.json``, ``NAME.report.html`` and, if there are pictures, ``NAME.png``.

    Raises:
        DataError: one of them cannot be written.
    """
    name = report["name"]
    with partial_file(out / f"{name}.report.json") as partial:
        text = json.dumps(report, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")  # paths can be any bytes
    write_html(out / f"{name}.report.html", report, pictures, alignment)
    if pictures:
        write_sheet(out / f"{name}.png", pictures, alignment)
