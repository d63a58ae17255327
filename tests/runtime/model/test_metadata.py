"""metadata.json as others write it, and with damage that is no matter of a single key."""

from __future__ import annotations

import json
import zipfile
from importlib import resources

import pytest

from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.model.metadata import parse_metadata, parse_recognizer_metadata


def bundled(name: str) -> bytes:
    file = resources.files("stn_rectify.runtime") / "data" / name
    with file.open("rb") as stream, zipfile.ZipFile(stream) as archive:
        return archive.read("metadata.json")


GENERAL, DIGITS = bundled("general.tflite"), bundled("digits.recognizer.tflite")


@pytest.mark.parametrize(
    "text",
    [
        b'{"format": "other/1", "x": NaN}',
        b'{"x": 1e999}',
        '\ufeff{"a": 1}'.encode(),
        '{"a": 1}'.encode("utf-16"),
        b"[]",
    ],
)
def test_the_metadata_of_another_maker_is_no_matter_of_ours(text: bytes) -> None:
    assert parse_recognizer_metadata(text) is None


def test_a_byte_order_mark_is_no_damage() -> None:
    assert parse_metadata(b"\xef\xbb\xbf" + GENERAL) == parse_metadata(GENERAL)


@pytest.mark.parametrize("text", [b'{"format": "\xe9"}', b"{", b"", GENERAL[:-5], b"[" * 100_000])
def test_what_is_no_json_is_one_clear_error(text: bytes) -> None:
    for parse in (parse_metadata, parse_recognizer_metadata):
        with pytest.raises(
            DataError, match=r"its metadata\.json is (not JSON|damaged) \(.*\): convert the Keras model"
        ):
            parse(text)


def test_a_word_that_is_none_of_a_few_is_told_which_there_are() -> None:
    with pytest.raises(DataError, match=r"one of in-graph\|pose-only.* at `\$\.kind`"):
        parse_metadata(json.dumps({**json.loads(GENERAL), "kind": "x"}).encode())


@pytest.mark.parametrize("value_range", [[-1e308, 1e308], [0, 1e300], [1, 1]])
def test_a_range_of_pixel_values_has_limits(value_range: list[float]) -> None:
    values = json.loads(DIGITS)
    values["input"]["value_range"] = value_range
    with pytest.raises(DataError, match=r"value_range|damaged"):
        parse_recognizer_metadata(json.dumps(values).encode())
