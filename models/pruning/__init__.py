"""Structured pruning: whole channels of a trained localization network removed, a smaller dense Keras model left."""

from __future__ import annotations

from stn_rectify.models.pruning.schedule import PruningCourse, prune

__all__ = ["PruningCourse", "prune"]
