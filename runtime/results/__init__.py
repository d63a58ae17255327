"""Results of one frame: where the target is, the rectified target, and the rule that tells targets from misses.

A `Rectification` draws, saves and shows itself; `line` says what it is as a JSON line, which is the same to apps,
files, brokers and browsers.
"""

from stn_rectify.runtime.results.miss_rule import FOUND_SCORE, MissRule
from stn_rectify.runtime.results.rectification import Location, Rectification

__all__ = ["FOUND_SCORE", "Location", "MissRule", "Rectification"]
