"""Digits under the distortions of the Spatial Transformer paper (Jaderberg et al. 2015, section 4.1)."""

from __future__ import annotations

__all__ = ["DISTORTIONS"]

#: Their names in the paper.
DISTORTIONS = ("R", "RTS", "P", "E")
