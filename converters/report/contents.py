"""The content of a report: everything but the pictures, as JSON has it."""

from __future__ import annotations

import importlib.metadata
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from stn_rectify.converters.proof.proof import Proof
from stn_rectify.converters.reading.model_files import output_name
from stn_rectify.converters.report.delegation import Delegation
from stn_rectify.converters.report.latency import Latency
from stn_rectify.converters.report.network_report import NetworkReport
from stn_rectify.converters.report.operator_list import constant_bytes, group_operators, read_operators
from stn_rectify.converters.report.verdict import Verdict

#: The value of ``format``.
REPORT_FORMAT = "stn-rectify-report/2"
_PACKAGES = ("stn-rectify", "tensorflow", "tensorflow-cpu", "keras", "numpy", "tflite-runtime", "ai-edge-litert")


def report_dict(
    source: Path,
    file_bytes: int,
    flatbuffer: bytes,
    proof: Proof,
    networks: Sequence[NetworkReport],
    *,
    delegations: Sequence[Delegation] = (),
    latencies: Sequence[Latency] = (),
    metadata: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    compared_on: str = "the calibration frames",
) -> dict[str, Any]:
    """The report, ready for ``json.dumps``.

    Args:
        source: the model that was converted.
        file_bytes: size of the file.
        flatbuffer: of the file, read back.
        proof: of the file.
        networks: the part of each network of the file.
        delegations: of each installed interpreter.
        latencies: of each installed interpreter; empty if they were not measured.
        metadata: what the file's metadata.json says.
        options: of the command.
        compared_on: which frames the first network was compared on, in words.
    """
    thresholds = [check for network in networks for check in network.thresholds]
    operators = read_operators(flatbuffer)
    failures = [f"{c.name}: {c.found}" for c in (*proof.checks, *thresholds) if not c.passed]
    report: dict[str, Any] = {
        "format": REPORT_FORMAT,
        "name": output_name(source),
        "source": str(source),
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "passed": not failures,
        "verdict": Verdict.of(networks, failures).as_dict(),
        "failures": failures,
        "warnings": [warning for network in networks for warning in network.warnings],
        "proof": asdict(proof),
        "thresholds": [asdict(check) for check in thresholds],
        "compared_on": compared_on,
        "networks": [network.as_dict() for network in networks],
        "bytes": {"file": file_bytes, "flatbuffer": len(flatbuffer), "constants": constant_bytes(flatbuffer)},
        "operators": [asdict(op) for op in operators],
        "operator_groups": [asdict(group) for group in group_operators(operators)],
        "xnnpack": [{**asdict(d), "taken": sorted(d.taken)} for d in delegations],
        "latency": [asdict(latency) for latency in latencies],
        "metadata": dict(metadata or {}),
        "options": {name: _plain(value) for name, value in (options or {}).items()},
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "versions": _versions(),
    }
    finite: dict[str, Any] = _finite(report)
    return finite


def _finite(value: Any) -> Any:
    """The same with None for every number that is not finite: JSON has no such numbers, a broken model may."""
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: Any) -> Any:
    """An option as JSON has it."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _versions() -> dict[str, str]:
    """Versions of the installed packages that have a part in it."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
