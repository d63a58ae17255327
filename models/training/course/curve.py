"""The curve of a training: the measurements of each epoch, in a CSV file that grows while the training runs."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from stn_rectify.models.charts import curve_chart
from stn_rectify.models.files import partial_file
from stn_rectify.runtime.drawing import write_png
from stn_rectify.runtime.errors import DataError

#: A line of the file: names of columns → values.
Row = dict[str, float]

_FIRST_COLUMNS = ("epoch", "batches")


class Curve:
    """One row for each epoch that was trained; its columns:

    - ``epoch``, from 1; ``batches``, over which the means are;
    - ``loss`` and, of a model of several outputs, ``OUTPUT_loss`` without its weight in the sum: means over the batches
      as they were trained on, with the weights of that moment and not the averaged ones of the end;
    - ``learning_rate`` after the last batch; ``seconds`` of training;
    - what else was measured at the end of the epoch.

    An epoch that was stopped and gone on with is one row, with the means over all of its batches. Of a run that was
    begun without a curve, the epochs before are missing, and ``batches`` says how many of the first one were measured.

    Args:
        file: ``.csv``; is read if it is there.

    Raises:
        DataError: if the file exists and cannot be read.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.rows: list[Row] = _read(file) if file.exists() else []
        self._begun: Row = {}  # of the epoch in which the run was stopped

    def go_on(self, epoch: int, batch: int) -> None:
        """Forgets what will be trained again when a run goes on with ``batch`` of ``epoch``, both from 0."""
        resumed = [row for row in self.rows if row["epoch"] == epoch + 1 and row["batches"] == batch]
        self._begun = resumed[-1] if resumed else {}
        self.rows = [row for row in self.rows if row["epoch"] <= epoch] + resumed

    def record(
        self,
        epoch: int,
        measured: Sequence[Mapping[str, float]],
        *,
        learning_rate: float,
        seconds: float,
        more: Mapping[str, float],
    ) -> Row:
        """Writes the row of an epoch; called again for the same epoch, it replaces the row.

        Args:
            epoch: from 0.
            measured: losses of each batch since the run was started or gone on with.
            learning_rate: after these.
            seconds: that they took.
            more: further columns.

        Returns:
            The row. Nothing is written of an epoch of which nothing was measured; its loss is NaN.

        Raises:
            DataError: if the file cannot be written.
        """
        begun = self._begun if self._begun.get("epoch") == epoch + 1 else {}
        batches_before = begun.get("batches", 0)
        count = batches_before + len(measured)
        if not count:
            return {"loss": math.nan}
        row = {**begun, "epoch": epoch + 1, "batches": count}
        for name in measured[0] if measured else ():
            total = batches_before * begun.get(name, 0.0) + sum(losses[name] for losses in measured)
            row[name] = total / count
        row |= {"learning_rate": learning_rate, "seconds": begun.get("seconds", 0.0) + seconds, **more}
        self.rows = [r for r in self.rows if r["epoch"] <= epoch] + [row]
        _write(self._file, self.rows)
        return row


def write_curve(out: Path, parts: Sequence[Path]) -> None:
    """Writes ``NAME.curve.csv`` and its picture, ``NAME.curve.png``, beside a trained model.

    Args:
        out: the model's file.
        parts: files of the `Curve` of each course that led to it, one after the other; the epochs are then counted
            through, and a column ``step`` says of which course they are, from 1 on. Those without a file are left out.

    Raises:
        DataError: if a part cannot be read, or the two files cannot be written.
    """
    rows: list[Row] = []
    starts = []
    for step, part in enumerate(parts, 1):
        done = rows[-1]["epoch"] if rows else 0
        of_part = [{**row, "epoch": done + row["epoch"]} for row in Curve(part).rows]
        if len(parts) > 1:
            of_part = [{**row, "step": step} for row in of_part]
        starts += [(int(row["epoch"]), f"step {step}") for row in of_part[:1] if len(parts) > 1]
        rows += of_part
    _write(out.with_suffix(".curve.csv"), rows)
    write_png(out.with_suffix(".curve.png"), curve_chart(out.name, rows, starts))


def _read(file: Path) -> list[Row]:
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            table = csv.DictReader(lines)
            if tuple(table.fieldnames or ())[:2] != _FIRST_COLUMNS:
                raise ValueError("not the curve of a training")
            rows = [{name: float(value) for name, value in line.items() if value} for line in table]
        if not all(math.isfinite(row[name]) for row in rows for name in _FIRST_COLUMNS):
            raise ValueError("an epoch without a number")
        return rows
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
        raise DataError(
            f"{file} cannot be read ({error!r}): delete it to go on without the curve of the epochs so far"
        ) from error


def _write(file: Path, rows: Sequence[Row]) -> None:
    columns = dict.fromkeys([*_FIRST_COLUMNS, *(name for row in rows for name in row)])
    content = io.StringIO()
    lines = csv.DictWriter(content, list(columns), lineterminator="\n")
    lines.writeheader()
    lines.writerows({name: f"{value:.7g}" for name, value in row.items()} for row in rows)
    with partial_file(file) as partial:
        partial.write_text(content.getvalue(), encoding="utf-8")
