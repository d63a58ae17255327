"""What a report says of a refine network, the second one of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from stn_rectify.converters.report.comparison import Comparison
from stn_rectify.models.network.cost import StnCost

__all__ = ["RefineReport"]


@dataclass(frozen=True)
class RefineReport:
    """A refine network: what it costs, and how close INT8 comes to float.

    Attributes:
        source: the .keras file.
        margin: of its crops, as a share of the target's side.
        passes: how many a `Rectifier` makes unasked.
        cost: of one pass.
        theta_readout: as in `stn_rectify.converters.report.contents.report_dict`; pixels of the crop.
        comparison: of INT8 and float on its calibration crops, pixels of the crop.
    """

    source: Path
    margin: float
    passes: int
    cost: StnCost
    theta_readout: Sequence[Mapping[str, Any]] = field(repr=False)
    comparison: Comparison

    def as_dict(self) -> dict[str, Any]:
        """The numbers, for the report."""
        return {
            "source": str(self.source),
            "margin": self.margin,
            "passes": self.passes,
            "cost": {**asdict(self.cost), "parameters": self.cost.parameters, "macs": self.cost.macs},
            "theta_readout": [dict(entry) for entry in self.theta_readout],
            "comparison": self.comparison.summary(),
        }
