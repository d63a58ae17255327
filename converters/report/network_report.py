"""The part of a report about one network of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from stn_rectify.converters.proof.proof import Check
from stn_rectify.converters.report.pictures.frame_pictures import AlignmentPicture, FramePicture
from stn_rectify.models.network.cost import StnCost


class NetworkNumbers(Protocol):
    """INT8 against float, as a kind of network measures it."""

    def summary(self) -> dict[str, Any]:
        """The numbers, for the report."""


@dataclass(frozen=True)
class NetworkReport:
    """One network of a file: what it costs, and, if the file passed its proof, how close INT8 comes to float.

    Attributes:
        kind: what it is for; its section of the page is ``KIND.html``.
        signature: the key of its SignatureDef.
        source: the .keras file or SavedModel.
        cost: of one run.
        warnings: what makes its numbers doubtful, a line each; the doubts among them.
        doubts: why the network itself may be of no use, a line each (`report.verdict`).
        truth_is_known: whether it was compared with the truth in some frame.
        settings: what its kind has besides, by name.
        theta_readout: one entry for each way to read θ that was tried: ``name``, ``corners_mean_px``,
            ``corners_p95_px``, ``corners_max_px`` and ``kept``; pixels of its own input.
        comparison: with the float network; None if the proof failed before.
        checks: what the comparison adds to the proof.
        thresholds: what `comparison.gate` found; empty if none were set.
        summary: phrases for the one line about a conversion.
        pictures: of frames, from the best to the worst.
        alignment: pictures over all frames.
        sheets: pictures of what a dense network finds, one for each level; or of what a turn network says.
    """

    kind: str
    signature: str
    source: Path
    cost: StnCost
    warnings: Sequence[str] = ()
    doubts: Sequence[str] = ()
    truth_is_known: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    theta_readout: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    comparison: NetworkNumbers | None = None
    checks: Sequence[Check] = ()
    thresholds: Sequence[Check] = ()
    summary: Sequence[str] = ()
    pictures: Sequence[FramePicture] = field(default=(), repr=False)
    alignment: Sequence[AlignmentPicture] = field(default=(), repr=False)
    sheets: Sequence[AlignmentPicture] = field(default=(), repr=False)

    def named(self, network: str) -> NetworkReport:
        """The same, of which every line says whose it is: beside those of the network that a file is about."""
        return replace(
            self,
            warnings=[f"{network}: {warning}" for warning in self.warnings],
            doubts=[f"{network}: {doubt}" for doubt in self.doubts],
            checks=[replace(check, name=f"{network}: {check.name}") for check in self.checks],
            thresholds=[replace(check, name=f"{network}: {check.name}") for check in self.thresholds],
            summary=[f"{network} {phrase}" for phrase in self.summary],
        )

    def as_dict(self) -> dict[str, Any]:
        """Gives the entry of the network in the report, for JSON."""
        return {
            "kind": self.kind,
            "signature": self.signature,
            "source": str(self.source),
            **self.settings,
            "doubts": list(self.doubts),
            "cost": {**asdict(self.cost), "parameters": self.cost.parameters, "macs": self.cost.macs},
            "theta_readout": [dict(entry) for entry in self.theta_readout],
            "comparison": None if self.comparison is None else self.comparison.summary(),
        }
