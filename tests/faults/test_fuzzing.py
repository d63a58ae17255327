"""A short stretch of fuzzing.py for each kind of file; CI has more of it than the README's command."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults import fuzzing
from tests.faults.fuzzing import Target, altered, fuzz, targets, tried

pytest.importorskip("hypothesis", reason="hypothesis is not installed")


@pytest.mark.parametrize("name", targets())
@pytest.mark.parametrize("count", [20, pytest.param(500, marks=pytest.mark.slow)])
def test_whatever_a_file_holds_is_taken_or_refused_in_one_line(name: str, count: int) -> None:
    faults: list[str] = []
    outcomes = fuzz(name, count, seed=1, report=faults.append)
    assert not faults
    assert outcomes.total() == outcomes["taken"] + outcomes["refused"]
    assert outcomes["refused"] > 0


def test_what_a_reader_does_else_is_a_fault() -> None:
    def read(content: bytes) -> None:
        raise KeyError("no error of the package")

    assert tried(Target(read, (b"a",)), b"a") == "KeyError: 'no error of the package'"


def test_a_seed_gives_the_same_inputs_again() -> None:
    target = targets()["toml"]
    first, again = ([altered(target, dice) for _ in range(20)] for dice in (random.Random(3), random.Random(3)))
    assert first == again
    assert len(set(first)) > 10


def test_atheris_counts_what_it_tries_and_keeps_the_input_of_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("atheris", reason="atheris is not installed")

    def read(content: bytes) -> None:
        if content[:1] == b"b":
            raise KeyError("no error of the package")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fuzzing, "targets", lambda: {"a": Target(read, (b"ab", b"bb"))})
    outcomes = fuzzing.cover("a", 60, 0)
    assert outcomes["faults"] == 1
    assert (tmp_path / "fault-a").read_bytes()[:1] == b"b"
    monkeypatch.setattr(fuzzing, "targets", lambda: {"a": Target(lambda content: None, (b"ab",))})
    outcomes = fuzzing.cover("a", 1, 0)
    assert outcomes["taken"] > 1
    assert outcomes["faults"] == 0
