"""What becomes a label of what was read: characters, known labels, formats, lengths, names, and their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stn_rectify.runtime import LabelRules, LabelVote, Recognition, RecognitionStage, Rectification, UsageError
from stn_rectify.runtime.recognition.label_rules import edit_distance, read_known, read_names

FORMAT = "[A-Z]{2}[0-9]{4}"
KNOWN = ("AB 1234", "AB 1235", "XY 9876")


@pytest.mark.parametrize(
    ("rules", "text", "label"),
    [
        (LabelRules(), "any · thing", "any · thing"),
        (LabelRules("A-Z0-9"), "ab·12 cd-3", "AB12CD3"),
        (LabelRules("a-z"), "AB1", "ab"),
        (LabelRules("A-Za-z"), "Ab 1", "Ab"),
        (LabelRules("A-Z-"), "a-b 1", "A-B"),
        (LabelRules("0-9."), "12.5 °C", "12.5"),
        (LabelRules("А-Я0-9"), "а123вс", "А123ВС"),
        (LabelRules(format=FORMAT), "AB1234", "AB1234"),
        (LabelRules(format=FORMAT), "AB12345", None),
        (LabelRules(format=FORMAT), "XAB1234", None),
        (LabelRules(format="a|ab"), "ab", "ab"),
        (LabelRules(format=FORMAT), "A81Z34", "AB1234"),
        (LabelRules(format=FORMAT), "0B12E4", None),
        (LabelRules(format=FORMAT), "0D1OSB", "OD1058"),
        (LabelRules(format=FORMAT, lookalikes=False), "A81234", None),
        (LabelRules(format="(O|Q)[0-9]"), "0O", "O0"),
        (LabelRules(format="[0-9]{6}"), "OOOOOO", None),
        (LabelRules(min_length=4), "abc", None),
        (LabelRules(min_length=4), "abcd", "abcd"),
        (LabelRules("A-Z", min_length=2), "a123", None),
        (LabelRules(known=KNOWN), "xy9876", "XY 9876"),
        (LabelRules(known=KNOWN), "XY 987G", "XY 9876"),
        (LabelRules(known=KNOWN), "XY 98", "XY 98"),
        (LabelRules(known=KNOWN, known_distance=2), "XY 98", "XY 9876"),
        (LabelRules(known=KNOWN), "AB 1234", "AB 1234"),
        (LabelRules(known=KNOWN), "AB 123", "AB 123"),
        (LabelRules(known=KNOWN, known_distance=0), "XY 987G", "XY 987G"),
        (LabelRules(known=KNOWN, known_distance=0), "xy-9876", "XY 9876"),
        (LabelRules(known=("+", "-"), known_distance=0), "-", "-"),
        (LabelRules(known=KNOWN, format="XY [0-9]{4}"), "XY98T6", "XY 9876"),
        (LabelRules(names={"0": "zero"}), "0", "zero"),
        (LabelRules(names={"0": "zero"}), "1", "1"),
        (LabelRules("A-Z0-9", known=KNOWN, names={"XY 9876": "the van"}), "x.y9876", "the van"),
    ],
)
def test_the_label_of_a_text(rules: LabelRules, text: str, label: str | None) -> None:
    assert rules.label(text) == label


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [("", "", 0), ("abc", "abc", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "ba", 2), ("flaw", "lawn", 2)],
)
def test_edits_are_counted(one: str, other: str, distance: int) -> None:
    assert edit_distance(one, other, 9) == edit_distance(other, one, 9) == distance
    assert edit_distance(one, other, distance) == distance
    if distance:
        assert edit_distance(one, other, distance - 1) > distance - 1


def test_of_several_texts_the_most_probable_one_that_passes_is_taken() -> None:
    alternatives = (("A81234", 0.6), ("AB1234", 0.3))
    found = LabelRules(format=FORMAT).apply(Recognition("A81234", 0.6, alternatives=alternatives))
    assert found is not None
    assert (found.label, found.score, found.read) == ("AB1234", 0.3, "A81234")


def test_that_nothing_is_known_passes_all_rules() -> None:
    nothing = Recognition(None, 0.9)
    assert LabelRules(format=FORMAT, min_length=3).apply(nothing) is nothing


def test_results_say_what_was_read_where_that_is_another_thing() -> None:
    said = iter(["ab-1234", "AB1234", "garbage", None])
    stage = RecognitionStage(lambda image: next(said), rules=LabelRules("A-Z0-9", format=FORMAT))
    corners = np.array([[0, 0], [9, 0], [9, 9], [0, 9]], np.float64)
    result = Rectification(np.zeros((9, 9, 3), np.uint8), corners, np.eye(3), 1.0, 1.0)
    done = [stage.process(result, 0.0) for _ in range(4)]
    assert [one.label for one in done] == ["AB1234", "AB1234", None, None]
    assert [one.read for one in done] == ["ab-1234", None, "garbage", None]


def test_what_is_thrown_away_does_not_vote() -> None:
    said = iter(["AB1234", "AB123", "AB1Z3", "AB12X"])
    stage = RecognitionStage(lambda image: next(said), rules=LabelRules(format=FORMAT), vote=LabelVote(5))
    result = Rectification(np.zeros((9, 9, 3), np.uint8), np.eye(4, 2) * 9, np.eye(3), 1.0, 1.0)
    assert [stage.process(result, 0.0).label for _ in range(4)] == ["AB1234"] * 4


@pytest.mark.parametrize(
    "make",
    [
        lambda: LabelRules(format="[A-Z"),
        lambda: LabelRules(min_length=-1),
        lambda: LabelRules(known_distance=-1),
        lambda: LabelRules(known="plates.txt"),
    ],
    ids=["format", "min_length", "known_distance", "known is a name"],
)
def test_arguments_out_of_range_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        make()


def write(folder: Path, content: bytes) -> Path:
    path = folder / "file.txt"
    path.write_bytes(content)
    return path


def test_known_labels_are_lines(tmp_path: Path) -> None:
    content = "\ufeff# ours\r\nAB 1234\r\n\r\n  Ärger 7 \r\nAB 1234\r\n".encode()
    assert read_known(write(tmp_path, content)) == ("AB 1234", "Ärger 7")


@pytest.mark.parametrize(
    "content",
    [
        'AB 1234 = the van\n# no one\n\n"X=Y"\t7:30\n',
        "AB 1234\tthe van\nX=Y\t'7:30'\n",
        '{"AB 1234": "the van", "X=Y": "7:30"}',
    ],
    ids=["lines", "tabs", "json"],
)
def test_names_are_pairs(tmp_path: Path, content: str) -> None:
    assert read_names(write(tmp_path, content.encode())) == {"AB 1234": "the van", "X=Y": "7:30"}


@pytest.mark.parametrize("content", ['AB = "the van"', "AB,the van", "AB: the van", "\"AB\": 'the van'"])
def test_tables_of_other_formats_do_as_they_are(tmp_path: Path, content: str) -> None:
    assert read_names(write(tmp_path, content.encode())) == {"AB": "the van"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"AB the van\n", "line 1: 'AB the van' names nothing: write LABEL = NAME"),
        (b"\nAB =\n", "line 2: 'AB =' names nothing"),
        (b"AB = a\nAB = b\n", "line 2: 'AB' has a name already, 'a'"),
        (b"# none\n", "has no names: write lines"),
        (b"AB = \xff\n", "are no UTF-8 text"),
        (b'{"AB": 7}', "the name of 'AB' is 7: must be a text"),
        (b'{"AB": ', "is not JSON"),
    ],
)
def test_a_wrong_file_of_names_is_one_clear_error(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UsageError) as error:
        read_names(write(tmp_path, content))
    assert message in str(error.value)


def test_a_missing_or_empty_list_of_known_labels_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the known labels .*missing: No such file"):
        read_known(tmp_path / "missing")
    with pytest.raises(UsageError, match="has no label: write the known labels, one a line"):
        read_known(write(tmp_path, b"\n# all gone\n"))
