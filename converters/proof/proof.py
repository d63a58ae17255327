"""The proof: what a written file is, read back from the file itself and run in every installed interpreter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import numpy as np

from stn_rectify.converters.proof.bits import Reference
from stn_rectify.converters.proof.intervals import analyse_intervals
from stn_rectify.converters.tflite.builtin_operators import TFLITE_RUNTIME, VERSIONS
from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter, installed_packages
from stn_rectify.converters.tflite.object_tree import DTYPES, operator_name, read_model
from stn_rectify.runtime.errors import StnRectifyError
from stn_rectify.runtime.model.model_file import (
    LEVEL_SIGNATURE,
    REFINE_SIGNATURE,
    SIGNATURE,
    TURN_SIGNATURE,
    WHOLE_SIGNATURE,
)


@dataclass(frozen=True)
class Check:
    """One thing that was checked, and what was found."""

    name: str
    passed: bool
    found: str


@dataclass(frozen=True)
class OperatorCount:
    """An operator of the file."""

    name: str
    version: int
    count: int


@dataclass(frozen=True)
class Proof:
    """All checks of one file; ``str()`` is a table."""

    checks: tuple[Check, ...]
    operators: tuple[OperatorCount, ...]
    tensors: dict[str, int]

    @property
    def passed(self) -> bool:
        """Tells whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> str:
        """The failed checks in one line."""
        return "; ".join(f"{c.name}: {c.found}" for c in self.checks if not c.passed)

    def __str__(self) -> str:
        lines = [f"{'passed' if c.passed else 'FAILED'}  {c.name}: {c.found}" for c in self.checks]
        lines.append("tensors: " + ", ".join(f"{n} {dtype}" for dtype, n in sorted(self.tensors.items())))
        lines.append("operators: " + ", ".join(f"{o.count}× {o.name} v{o.version}" for o in self.operators))
        return "\n".join(lines)


class ProvableNetwork(Protocol):
    """A network as the proof sees it: its SignatureDef, and the bits that it should compute."""

    @property
    def signature(self) -> str:
        """The key of its SignatureDef."""

    @property
    def reference(self) -> Reference:
        """The bits that it should compute, and the frames to see it by."""


def prove(flatbuffer: bytes, networks: Sequence[ProvableNetwork]) -> Proof:
    """Checks a flatbuffer read back from disk.

    Args:
        flatbuffer: as written.
        networks: those that it should hold, each as a subgraph with a SignatureDef of its own, in this order.
    """
    model = read_model(flatbuffer)
    checks = inspect_file(flatbuffer, [network.signature for network in networks])
    if all(check.passed for check in checks):
        for network in networks:
            checks += _run_checks(flatbuffer, network)
    codes = model.operatorCodes
    operators = Counter(
        (operator_name(codes[op.opcodeIndex]), int(codes[op.opcodeIndex].version))
        for graph in model.subgraphs
        for op in graph.operators
    )
    return Proof(
        checks=tuple(checks),
        operators=tuple(OperatorCount(*key, count) for key, count in sorted(operators.items())),
        tensors=dict(Counter(DTYPES[t.type] for graph in model.subgraphs for t in graph.tensors)),
    )


def held_once(flatbuffer: bytes, subgraphs: int) -> Check:
    """Checks that subgraphs share their constants: no two of their buffers hold the same.

    Args:
        flatbuffer: as written.
        subgraphs: how many, from the first on.
    """
    model = read_model(flatbuffer)
    users: dict[int, set[int]] = {}
    for number, graph in enumerate(model.subgraphs[:subgraphs]):
        for tensor in graph.tensors:
            if model.buffers[tensor.buffer].data is not None:
                users.setdefault(int(tensor.buffer), set()).add(number)
    contents = Counter(bytes(model.buffers[buffer].data) for buffer in users)
    twice = sum(count > 1 for count in contents.values())
    size = sum(map(len, contents))
    shared = sum(len(model.buffers[buffer].data) for buffer, graphs in users.items() if len(graphs) == subgraphs)
    finding = f"{shared} of {size} bytes in all {subgraphs}" if not twice else f"{twice} constants are there twice"
    return Check("constants shared by the levels", not twice, finding)


def inspect_file(flatbuffer: bytes, signatures: Sequence[str] | None = None) -> list[Check]:
    """The checks that need nothing but the file: what it holds, and what its numbers can reach.

    Args:
        flatbuffer: as written.
        signatures: keys of the SignatureDefs that it should have; None: of a model file, whatever networks
            are in it.
    """
    model = read_model(flatbuffer)
    if signatures is None:
        places = {own.signatureKey.decode(): int(own.subgraphIndex) for own in model.signatureDefs or []}
        levels = sorted((place, key) for key, place in places.items() if key.startswith(LEVEL_SIGNATURE))
        further = [key for key in (WHOLE_SIGNATURE, REFINE_SIGNATURE, TURN_SIGNATURE) if key in places]
        signatures = (SIGNATURE, *(key for _, key in levels), *further)
    checks = list(_static_checks(model, signatures))
    if all(check.passed for check in checks):
        for subgraph, signature in enumerate(signatures):
            checks += _interval_checks(flatbuffer, subgraph, _words(signature))
    return checks


def _words(signature: str) -> str:
    """Gives the words by which the names of checks tell a network that is not the first."""
    return "" if signature == SIGNATURE else f", {signature} network"


def _static_checks(model: Any, expected: Sequence[str]) -> Iterator[Check]:
    tensors = [t for graph in model.subgraphs for t in graph.tensors]
    floats = [t.name.decode() for t in tensors if not np.issubdtype(_numpy_dtype(t), np.integer)]
    yield Check("float tensors", not floats, f"{len(floats)}" + _some(floats))

    codes = [(operator_name(code), int(code.version)) for code in model.operatorCodes]
    custom = [name for name, _ in codes if name.startswith("CUSTOM")]
    yield Check("custom and Flex operators", not custom, f"{len(custom)}" + _some(custom))
    lacking = [f"{name} v{version}" for name, version in codes if version > VERSIONS.get(name, 0)]
    finding = f"all {len(codes)} run" if not lacking else f"{len(lacking)} do not run" + _some(lacking)
    yield Check(f"built-in operators of tflite-runtime {TFLITE_RUNTIME}", not lacking, finding)

    wrong, total = [], 0
    for t in tensors:
        data = model.buffers[t.buffer].data
        if data is None:
            continue
        total += len(data)
        if len(data) != prod(t.shape) * np.dtype(_numpy_dtype(t)).itemsize:
            wrong.append(t.name.decode())
    yield Check("sizes of constants", not wrong, f"{total} bytes" if not wrong else "wrong" + _some(wrong))

    signatures = model.signatureDefs or []
    keys = [(s.signatureKey.decode(), int(s.subgraphIndex)) for s in signatures]
    named = {(int(s.subgraphIndex), int(e.tensorIndex)) for s in signatures for e in [*s.inputs, *s.outputs]}
    ends = {(k, int(t)) for k, graph in enumerate(model.subgraphs) for t in [*graph.inputs, *graph.outputs]}
    yield Check(
        "signature",
        keys == [(key, k) for k, key in enumerate(expected)] and len(keys) == len(model.subgraphs) and named == ends,
        f"{len(signatures)} naming {len(named & ends)} of {len(ends)} ends",
    )


def _interval_checks(flatbuffer: bytes, subgraph: int, network: str) -> Iterator[Check]:
    report = analyse_intervals(flatbuffer, subgraph)
    tables = ", ".join(f"rows 0 … {high} of {rows}" for high, rows in report.gathers) or "no GATHER"
    finding = f"{report.checked} int32 tensors, all within 32 bits; {tables}"
    yield Check(
        f"no overflow, no GATHER out of range, for any frame{network}",
        not report.problems,
        finding if not report.problems else f"{len(report.problems)} problems" + _some(report.problems),
    )


def _run_checks(flatbuffer: bytes, network: ProvableNetwork) -> Iterator[Check]:
    signature, reference = network.signature, network.reference
    for package in installed_packages():
        name = f"bits on {len(reference.frames)} calibration frames{_words(signature)}, {package}"
        try:
            with IsolatedInterpreter(package) as interpreter:
                differing = reference.differences(flatbuffer, signature, interpreter)
                finding = f"{interpreter.package} equals {reference.noun}"
        except StnRectifyError as error:
            yield Check(name, False, str(error))
        else:
            yield Check(
                name, not differing, finding if not differing else f"{len(differing)} differ" + _some(differing)
            )


def _numpy_dtype(tensor: Any) -> Any:
    try:
        return np.dtype(DTYPES[tensor.type])
    except TypeError:  # string, resource, bfloat16, …: no integer in any case
        return np.dtype(object)


def _some(items: list[str]) -> str:
    return f": {', '.join(items[:3])}{', …' if len(items) > 3 else ''}" if items else ""
