"""From a Keras model to a proved model file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from stn_rectify.converters.file_metadata import pack
from stn_rectify.converters.networks.network import Network
from stn_rectify.converters.networks.reading import read_networks
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.proof.proof import Proof, prove
from stn_rectify.converters.reading.model_files import output_name
from stn_rectify.converters.reading.onnx.pytorch_words import pytorch_words
from stn_rectify.converters.report.contents import report_dict
from stn_rectify.converters.report.delegation import find_delegations
from stn_rectify.converters.report.latency import Latency
from stn_rectify.converters.report.network_report import NetworkReport
from stn_rectify.converters.report.page import write_report
from stn_rectify.converters.report.verdict import Verdict
from stn_rectify.converters.tflite.isolated_interpreter import installed_packages, interpreters_kept
from stn_rectify.converters.tflite.joining import join_subgraph
from stn_rectify.models.files import TURN
from stn_rectify.runtime.errors import DataError, ModelFileError, StnRectifyError, UsageError
from stn_rectify.runtime.model.model_file import ModelFile
from stn_rectify.runtime.model.network_file import NetworkFile
from stn_rectify.runtime.process.installation import pip_command
from stn_rectify.runtime.recognition.recognizer_file import RecognizerFile


@dataclass(frozen=True)
class Conversion:
    """A finished conversion; ``str()`` is one line for a person.

    Attributes:
        path: the model file.
        size_bytes: of the file.
        proof: what was proved of it.
        networks: what the report says of each network in it, the comparison with Keras above all.
        latencies: beside the float32 twin of the same model, in each installed interpreter; empty if not measured.
    """

    path: Path
    size_bytes: int
    proof: Proof
    networks: tuple[NetworkReport, ...]
    latencies: Sequence[Latency] = field(repr=False)

    def __str__(self) -> str:
        count = "" if len(self.networks) == 1 else f", {len(self.networks)} networks"
        first, *others = self.networks
        phrases = [self.verdict.headline, *first.summary, f"{self.size_bytes / 1000:.0f} KB{count}"]
        phrases += [phrase for network in others for phrase in network.summary]
        speeds = [f"{latency.speed:.1f}x" for latency in self.latencies if latency.speed is not None]
        phrases += [f"{', '.join(speeds)} float32 speed"] if speeds else []
        report = self.path.with_suffix(".report.html")
        return f"{self.path.stem}  {' · '.join(phrases)} · report {report}"

    @property
    def verdict(self) -> Verdict:
        """What the report says first: that the integers are proved, and what is known of the network itself."""
        return Verdict.of(self.networks, [])

    def details(self) -> str:
        """Gives the cost of each network, and the proof, as tables."""
        first, *others = self.networks
        costs = [str(first.cost), *(f"{network.kind} network, each look\n{network.cost}" for network in others)]
        return "\n".join([*costs, str(self.proof)])


def convert(source: Path, out: Path, options: ConversionOptions) -> Conversion:
    """Converts one .keras, .h5 or .onnx file, or SavedModel folder, to ``out/NAME.tflite``, with its report.

    A ``NAME.refine.keras`` and a ``NAME.turn.keras`` beside ``NAME.keras`` go into the same file, and a
    ``NAME.whole.keras`` beside a dense one; a ``NAME.recognizer.keras`` becomes a file of its own, calibrated and
    labelled with what lies beside it
    (`reading.model_files`).

    The model is written to a temporary name, read back, proved and only then renamed. The interpreter runs in a
    process of its own, which imports nothing of the program that calls this.

    Raises:
        UsageError: if an output exists without ``overwrite`` or cannot be written, or options contradict the model.
        DataError: if the model or the frames cannot be read.
        ModelFileError: if the model cannot be converted, or the proof failed; then only the report is written.
        StnRectifyError: if no interpreter is installed, so that nothing could be proved.
    """
    try:
        with interpreters_kept(), pytorch_words(source):
            return _convert(source, out, options)
    except OSError as error:
        problem = f"cannot write {error.filename or out}: {error.strerror or error}"
        raise UsageError(f"{problem}; choose another --out or make room") from error


def _convert(source: Path, out: Path, options: ConversionOptions) -> Conversion:
    target = out / f"{output_name(source)}.tflite"
    if target.exists() and not options.overwrite:
        raise UsageError(f"{target} exists: give --overwrite to replace it, or another --out")
    if not installed_packages():
        mend = pip_command("install", "ai-edge-litert")
        raise StnRectifyError(f"no interpreter is installed to prove files with: {mend}")
    with _reading(source):
        networks = read_networks(source, options)
    flatbuffer = _joined(networks)
    metadata = networks[0].metadata(flatbuffer, networks[1:])
    out.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".tflite.partial")
    try:
        partial.write_bytes(pack(flatbuffer, metadata, networks[0].labels))
        model_file = networks[0].open(partial)
        proof = prove(model_file.flatbuffer, [part for network in networks for part in network.provable])
        conversion = _reported(networks, model_file, proof, msgspec.to_builtins(metadata))
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return replace(conversion, path=target)


@contextmanager
def _reading(source: Path) -> Iterator[None]:
    """Turns an OSError of the block into a DataError; `convert` takes any other for a file that cannot be written."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{error.filename or source} cannot be read: {error.strerror or error}") from error


def _joined(networks: Sequence[Network]) -> bytes:
    """All networks in integers, a subgraph and a SignatureDef each."""
    first, *others = networks
    flatbuffer = first.flatbuffer
    if first.before is not None:
        flatbuffer = join_subgraph(first.before, flatbuffer, first.signature)
    for network in others:
        try:
            own = network.flatbuffer
        except ModelFileError as error:  # named, because it is not the one that is converted
            raise ModelFileError(f"{network.source}: {error}") from error
        flatbuffer = join_subgraph(flatbuffer, own, network.signature)
    return flatbuffer


def _reported(
    networks: Sequence[Network],
    model_file: ModelFile | RecognizerFile | NetworkFile,
    proof: Proof,
    metadata: dict[str, Any],
) -> Conversion:
    """Compares a file that passed its proof with Keras, and writes the report, in any case.

    Raises:
        ModelFileError: if a check or a threshold failed.
    """
    (first, *others), measured = networks, proof.passed
    file = model_file.path if measured else None
    reports = (first.report(file), *(other.report(file).named(f"{other.kind} network") for other in others))
    proof = replace(proof, checks=(*proof.checks, *(check for report in reports for check in report.checks)))
    latencies = first.latencies(model_file.flatbuffer) if measured and first.options.latency else []
    report = report_dict(
        first.source,
        model_file.size_bytes,
        model_file.flatbuffer,
        proof,
        reports,
        delegations=find_delegations(model_file.flatbuffer) if measured else [],
        latencies=latencies,
        metadata=metadata,
        options=first.options.summary(),
        compared_on="the calibration frames" if first.options.validation is None else "the validation frames",
    )
    pictured = next((number for number, network in enumerate(reports) if network.pictures), 0)
    write_report(
        model_file.path.parent,
        report,
        reports[pictured].pictures,
        reports[pictured].alignment,
        reports[0].sheets,
        [sheet for network in reports if network.kind == TURN for sheet in network.sheets],
        pictured=pictured,
    )
    if report["failures"]:
        raise ModelFileError(f"{first.source}: {'; '.join(report['failures'])}")
    return Conversion(model_file.path, model_file.size_bytes, proof, reports, latencies)
