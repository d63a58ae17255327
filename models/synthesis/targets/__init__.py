"""Upright textures of planar targets.

In: random numbers, and pictures that may be printed on a target. Out: a `kinds.TargetTexture`. `kinds` lists what a
target can be; `prints` and `plates` draw it in strokes, `typeset` with readable words.
"""
