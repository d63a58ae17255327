"""Groups of channels from which the least important ones are chosen for removal."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stn_rectify.models.pruning.channel_flow import FIXED, ChannelFlow
from stn_rectify.models.pruning.weight_channels import Channels
from stn_rectify.runtime.arrays import FloatArray
from stn_rectify.runtime.errors import DataError

#: Channels are removed eight at a time and at least eight are left: what SIMD kernels fill.
LUMP = 8


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that appear in the same layers; a channel is removed from all of them at once.

    Attributes:
        layers: names of the layers that make them: several where residual connections add their outputs.
        channels: their numbers.
    """

    layers: tuple[str, ...]
    channels: Channels

    def candidates(self, kept: npt.NDArray[np.bool_], importance: FloatArray) -> Channels:
        """Gives the channels to be removed next, the least important first; empty when only the floor is left."""
        left: Channels = self.channels[kept[self.channels]]
        count = len(left) % LUMP or LUMP
        if len(left) - count < LUMP:
            count = 0
        least: Channels = left[np.argsort(importance[left], kind="stable")[:count]]
        return least


def channel_groups(flow: ChannelFlow) -> list[ChannelGroup]:
    """All channels that may be removed, in groups (dependency groups: DepGraph, Fang et al. 2023, arXiv 2301.12900)."""
    makers: dict[int, list[str]] = defaultdict(list)
    for call in flow.calls:
        made = {int(n) for w in call.weights if w.inputs is not None for n in w.outputs[1]}
        for number in made - {FIXED}:
            makers[number].append(call.layer.name)
    together: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, names in sorted(makers.items()):
        together[tuple(dict.fromkeys(names))].append(number)
    return [ChannelGroup(names, np.array(numbers)) for names, numbers in together.items()]


def kept_channels(flow: ChannelFlow, importance: FloatArray, macs: float) -> npt.NDArray[np.bool_]:
    """Removes the channels that are least important for the multiply-accumulates they take, until few enough are left.

    Greedy: eight channels of one group at a time, those with the least sum of importance for each multiply-accumulate
    that goes with them, given what was removed before. In the end those removed last are put back where there is room.

    Args:
        flow: the channels of the model.
        importance: importance of each channel, above 0; infinite for those that must not be removed.
        macs: the multiply-accumulates of the localization network that may be left.

    Returns:
        bool [channels]: True for those that stay.

    Raises:
        DataError: if so few multiply-accumulates cannot be reached.
    """
    kept = np.ones(flow.count, np.bool_)
    groups, whole = channel_groups(flow), flow.macs(kept)
    removed: list[npt.NDArray[np.bool_]] = []
    while (now := flow.macs(kept)) > macs:
        best, least = None, np.inf
        for group in groups:
            without = kept.copy()
            without[group.candidates(kept, importance)] = False
            saved = now - flow.macs(without)
            cost = importance[kept & ~without].sum() / saved if saved else np.inf
            if cost < least:
                best, least = without, cost
        if best is None:
            raise DataError(
                f"{1 - macs / whole:.1%} of its MACs cannot be removed, only {1 - now / whole:.1%}: at least {LUMP} "
                "channels of each layer stay; give a smaller fraction"
            )
        removed.append(kept & ~best)
        kept = best
    for lump in reversed(removed):
        if flow.macs(kept | lump) <= macs:
            kept |= lump
    return kept
