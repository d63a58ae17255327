"""Targets in frames that follow one another: numbered, followed without a scan, their corners smoothed.

In: what a `Rectifier` finds in each frame, and when the frame was taken. Out: the same targets with their numbers, or
with corners that tremble less.
"""
