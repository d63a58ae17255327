"""The proof: what a written file is, read back from the file itself and run in every installed interpreter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.integer.head import IntegerHead
from stn_rectify.converters.integer.sampler_plan import SamplerPlan
from stn_rectify.converters.proof.intervals import analyse_intervals
from stn_rectify.converters.proof.reference import reference_head, reference_sampler
from stn_rectify.converters.tflite.builtin_operators import TFLITE_RUNTIME, VERSIONS
from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter, installed_packages
from stn_rectify.converters.tflite.object_tree import DTYPES, operator_name, read_model, write_model
from stn_rectify.converters.tflite.schema import schema
from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.errors import StnRectifyError
from stn_rectify.runtime.model.model_file import REFINE_SIGNATURE, SIGNATURE

__all__ = ["Check", "NetworkReference", "OperatorCount", "Proof", "inspect_file", "prove", "with_extra_outputs"]


#: Tensors that the proof looks into besides the outputs; the converter names them so.
FEATURES, COEFFICIENTS = "features", "coefficients"

#: The signatures that a file may have, in the order of their subgraphs, and what checks call their networks.
_NETWORKS = {SIGNATURE: "", REFINE_SIGNATURE: ", refine network"}


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
        """Whether every check passed."""
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


@dataclass(frozen=True)
class NetworkReference:
    """What one network of a file should compute, and frames to see it by.

    Attributes:
        head: the integers that its head should compute with.
        plan: of its sampler; None for a network without one.
        frames: int8 [N, H, W, C] calibration frames to run.
        recognizer: the quantized network that follows the sampler, alone; None if none does.
    """

    head: IntegerHead = field(repr=False)
    plan: SamplerPlan | None
    frames: npt.NDArray[np.int8] = field(repr=False)
    recognizer: bytes | None = field(default=None, repr=False)


def prove(
    flatbuffer: bytes,
    head: IntegerHead,
    plan: SamplerPlan | None,
    frames: npt.NDArray[np.int8],
    recognizer: bytes | None = None,
    refine: NetworkReference | None = None,
) -> Proof:
    """Checks a flatbuffer read back from disk.

    Args:
        flatbuffer: as written.
        head: the integers that its head should compute with.
        plan: of its sampler; None for a pose-only file.
        frames: int8 [N, H, W, C] calibration frames to run.
        recognizer: the quantized network that follows the sampler, alone; None if none does.
        refine: the same of its refine network; None in a file of one network.
    """
    model = read_model(flatbuffer)
    checks = inspect_file(flatbuffer)
    if all(check.passed for check in checks):
        checks += _run_checks(flatbuffer, SIGNATURE, NetworkReference(head, plan, frames, recognizer))
        if refine is not None:
            checks += _run_checks(flatbuffer, REFINE_SIGNATURE, refine)
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


def inspect_file(flatbuffer: bytes) -> list[Check]:
    """The checks that need nothing but the file: what it holds, and what its numbers can reach."""
    checks = list(_static_checks(read_model(flatbuffer)))
    if all(check.passed for check in checks):
        for subgraph, network in zip(range(len(read_model(flatbuffer).subgraphs)), _NETWORKS.values(), strict=False):
            checks += _interval_checks(flatbuffer, subgraph, network)
    return checks


def _static_checks(model: Any) -> Iterator[Check]:
    tensors = [t for graph in model.subgraphs for t in graph.tensors]
    floats = [t.name.decode() for t in tensors if not np.issubdtype(_numpy_dtype(t), np.integer)]
    yield Check("float tensors", not floats, f"{len(floats)}" + _some(floats))

    codes = [(operator_name(code), int(code.version)) for code in model.operatorCodes]
    custom = [name for name, _ in codes if name.startswith("CUSTOM")]
    yield Check("custom and Flex operators", not custom, f"{len(custom)}" + _some(custom))
    lacking = [f"{name} v{version}" for name, version in codes if version > VERSIONS.get(name, 0)]
    found = f"all {len(codes)} run" if not lacking else f"{len(lacking)} do not run" + _some(lacking)
    yield Check(f"built-in operators of tflite-runtime {TFLITE_RUNTIME}", not lacking, found)

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
    expected = [(key, place) for place, key in enumerate(_NETWORKS)][: len(model.subgraphs)]
    named = {(int(s.subgraphIndex), int(e.tensorIndex)) for s in signatures for e in [*s.inputs, *s.outputs]}
    ends = {(k, int(t)) for k, graph in enumerate(model.subgraphs) for t in [*graph.inputs, *graph.outputs]}
    yield Check(
        "signature",
        keys == expected and len(keys) == len(model.subgraphs) and named == ends,
        f"{len(signatures)} naming {len(named & ends)} of {len(ends)} ends",
    )


def _interval_checks(flatbuffer: bytes, subgraph: int, network: str) -> Iterator[Check]:
    report = analyse_intervals(flatbuffer, subgraph)
    tables = ", ".join(f"rows 0 … {high} of {rows}" for high, rows in report.gathers) or "no GATHER"
    found = f"{report.checked} int32 tensors, all within 32 bits; {tables}"
    yield Check(
        f"no overflow, no GATHER out of range, for any frame{network}",
        not report.problems,
        found if not report.problems else f"{len(report.problems)} problems" + _some(report.problems),
    )


def _run_checks(flatbuffer: bytes, signature: str, reference: NetworkReference) -> Iterator[Check]:
    for package in installed_packages():
        name = f"bits on {len(reference.frames)} calibration frames{_NETWORKS[signature]}, {package}"
        try:
            with IsolatedInterpreter(package) as interpreter:
                differing = _differences(flatbuffer, signature, reference, interpreter)
                found = f"{interpreter.package} equals the integer reference"
        except StnRectifyError as error:
            yield Check(name, False, str(error))
        else:
            yield Check(name, not differing, found if not differing else f"{len(differing)} differ" + _some(differing))


def _differences(
    flatbuffer: bytes, signature: str, reference: NetworkReference, interpreter: IsolatedInterpreter
) -> list[str]:
    """What a run of the file does otherwise than the reference does with the trunk's features.

    And otherwise than the recognizer alone does with the rectified image.
    """
    head, plan, frames = reference.head, reference.plan, reference.frames
    interpreter.load(flatbuffer)
    plain = [interpreter.run({"frame": frame[None]}, signature) for frame in frames]
    inner = [FEATURES] if plan is None else [FEATURES, COEFFICIENTS]
    interpreter.load(with_extra_outputs(flatbuffer, inner, signature))
    differing = []
    for number, (frame, outputs) in enumerate(zip(frames, plain, strict=True)):
        seen = interpreter.run({"frame": frame[None]}, signature)
        coefficients, theta = reference_head(seen[FEATURES], head)
        wanted: dict[str, Array] = {"theta": theta[None]}
        if plan is not None:
            wanted[COEFFICIENTS] = coefficients
            wanted["rectified"] = reference_sampler(frame, coefficients, plan)[None]
        for name, value in wanted.items():
            if not np.array_equal(seen[name], value):
                differing.append(f"{name} of frame {number}")
        if any(not np.array_equal(outputs[name], seen[name]) for name in outputs):
            differing.append(f"frame {number} with and without inner outputs")
    if reference.recognizer is not None:
        interpreter.load(reference.recognizer)
        for number, outputs in enumerate(plain):
            alone = interpreter.run({"image": outputs["rectified"]})["class_scores"]
            if not np.array_equal(alone, outputs["class_scores"]):
                differing.append(f"class_scores of frame {number}")
    return differing


def with_extra_outputs(flatbuffer: bytes, names: list[str], signature: str = SIGNATURE) -> bytes:
    """The same file with more of a network's tensors as its outputs."""
    model = read_model(flatbuffer)
    ends = next(s for s in model.signatureDefs if s.signatureKey.decode() == signature)
    graph = model.subgraphs[ends.subgraphIndex]
    places = {t.name.decode(): k for k, t in enumerate(graph.tensors)}
    for name in names:
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, places[name]
        ends.outputs.append(entry)
        graph.outputs = [*graph.outputs, places[name]]
    return write_model(model)


def _numpy_dtype(tensor: Any) -> Any:
    try:
        return np.dtype(DTYPES[tensor.type])
    except TypeError:  # string, resource, bfloat16, …: no integer in any case
        return np.dtype(object)


def _some(items: list[str]) -> str:
    return f": {', '.join(items[:3])}{', …' if len(items) > 3 else ''}" if items else ""
