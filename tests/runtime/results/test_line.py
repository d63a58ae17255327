"""The JSON line and its schema."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from stn_rectify.runtime import CapturedFrame, Location, Rectification
from stn_rectify.runtime.results.line import ResultLine, TargetLine, line_schema, line_values

ROOT = Path(__file__).parents[3]
CORNERS = np.array([[20.0, 30.0], [80.0, 32.0], [78.0, 70.0], [-22.5, 68.12345]])
CAPTURED = CapturedFrame("scan.tif", 0, 1795949219.25, np.zeros((9, 9, 3), np.uint8), page=2)


def result(score: float = 0.9, **more: object) -> Rectification:
    return Rectification(np.zeros((4, 6, 3), np.uint8), CORNERS, np.eye(3), score, 3.21, **more)


FULL = result(
    label="AB12", label_score=0.5, read="A812", top_labels=(("AB12", 0.5), ("A", None)), track=1, turn=3, turn_score=0.7
)
LINES = {
    "an array": line_values(result()),
    "a page": line_values(result(), CAPTURED),
    "all there is": line_values(FULL, CAPTURED, [FULL, result()]),
    "no target": line_values(result(0.0), CAPTURED, []),
    "a location": Location(CORNERS, 1.0, 0.5).to_dict(),
}


@pytest.mark.parametrize("values", LINES.values(), ids=LINES.keys())
def test_lines_are_as_the_schema_says(values: dict[str, object]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(line_schema())
    jsonschema.Draft202012Validator(line_schema()).validate(json.loads(json.dumps(values)))


@pytest.mark.parametrize(
    "change",
    [
        {"score": 1.5},
        {"corners": [[0, 0]] * 3},
        {"label": 5},
        {"frame": -1},
        {"turn": 4},
        {"targets": [{"score": 1}]},
        {"labels": [["a"]]},
        {"latency_ms": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_schema_refuses_what_no_line_has(change: dict[str, object]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(line_schema()).validate({**LINES["all there is"], **change})


def test_the_schema_in_docs_is_that_of_this_version() -> None:
    """``stn-rectify --print-schema > docs/reference/result-line.schema.json`` writes it."""
    schema = ROOT / "docs" / "reference" / "result-line.schema.json"
    assert json.loads(schema.read_text(encoding="utf-8")) == line_schema()


def test_the_table_in_docs_has_every_key() -> None:
    page = (ROOT / "docs" / "reference" / "outputs.md").read_text(encoding="utf-8")
    table = page[page.index("## The JSON line") :].partition("\n\n")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    keys = {key for row in rows for key in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert keys == set(ResultLine.__struct_fields__) | set(TargetLine.__struct_fields__)


def test_pandas_reads_the_lines() -> None:
    pandas = pytest.importorskip("pandas")
    lines = "".join(json.dumps(LINES[name]) + "\n" for name in ("a page", "all there is"))
    table = pandas.read_json(io.StringIO(lines), lines=True)
    assert table["score"].tolist() == [0.9, 0.9]
    assert table["timestamp"].dt.year.tolist() == [2026, 2026]
    assert np.shape(table["corners"].tolist()) == (2, 4, 2)
    assert table["label"].tolist()[1] == "AB12"
