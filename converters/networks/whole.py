"""A look at the whole frame on its way into a dense file: a Spatial Transformer beside the dense network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from stn_rectify.converters.file_metadata import whole_metadata
from stn_rectify.converters.networks.companions import check_companion, companion_frames
from stn_rectify.converters.networks.network import Network
from stn_rectify.converters.networks.stn import StnNetwork, range_of_parts, read_stn
from stn_rectify.converters.reading.calibration import read_frames
from stn_rectify.converters.reading.model_files import whole_file
from stn_rectify.converters.report.network_report import NetworkReport
from stn_rectify.models.files import WHOLE
from stn_rectify.models.network.keras_file import network_kind
from stn_rectify.runtime.errors import ModelFileError, UsageError
from stn_rectify.runtime.model.metadata import WholeSpec
from stn_rectify.runtime.model.model_file import WHOLE_SIGNATURE

if TYPE_CHECKING:
    from stn_rectify.converters.networks.dense import DenseNetwork


@dataclass(frozen=True)
class WholeNetwork(StnNetwork):
    """A network that sees the whole frame once, in the file of a dense one; pose-only."""

    kind: ClassVar[str] = WHOLE

    @property
    def signature(self) -> str:
        """It stands behind the levels of the dense network."""
        return WHOLE_SIGNATURE

    @property
    def spec(self) -> WholeSpec:
        """The content of metadata.json under ``whole``."""
        return whole_metadata(self.parts, self.assembly, self.value_range, weight=self.options.whole_weight)

    def report(self, file: Path | None) -> NetworkReport:
        """The same with pictures of the frames."""
        report = super().report(file)
        report = replace(report, settings={**report.settings, "weight": self.options.whole_weight})
        return self.with_pictures(report, self.spec.input)


def whole_spec(networks: Sequence[Network]) -> WholeSpec | None:
    """What metadata.json says of the look at the whole frame among these networks; None if there is none."""
    return next((network.spec for network in networks if isinstance(network, WholeNetwork)), None)


def read_whole(dense: DenseNetwork) -> WholeNetwork | None:
    """Reads the network beside a dense one that sees the whole frame, and its frames; None if there is none.

    Raises:
        DataError: if its file or frames are missing or cannot be read.
        ModelFileError: if it is no STN that can be converted, or does not fit the dense network.
    """
    file = whole_file(dense.source)
    if file is None:
        return None
    frames = companion_frames(file, dense, "frames to calibrate it with (stn-train writes them)")
    network_kind(file)
    parts = read_stn(file, replace(dense.options, input_shape=None))  # that is the model's own
    if parts.transform == "tps":
        raise ModelFileError(
            f"{file}: its transform is tps, but beside a dense network it must be affine or projective"
        )
    if parts.classes is not None:
        raise ModelFileError(f"{file}: a recognizer follows its sampler; save the STN alone")
    check_companion(file, parts.channels, "projective", dense.parts.channels, "poses cannot be compared")
    calibration = read_frames(frames, parts.frame_shape, range_of_parts(file, parts.scaling, dense.options))
    return WholeNetwork(file, dense.options, calibration, calibration, parts)


def refuse_whole(source: Path) -> None:
    """Refuses a model that sees the frame once itself, and has another network of that kind beside it.

    Raises:
        UsageError: if there is one.
    """
    beside = whole_file(source)
    if beside is not None:
        raise UsageError(
            f"{beside} goes into the file of a dense network, but {source} is none: move it away, or convert it alone"
        )
