"""A course of training, which all networks share: its frames, its epochs, its checkpoints, and what it leaves.

`course` has the settings, `epochs` the steps; a stopped course goes on from its `checkpoint`; `result` and `curve` are
what is written; `held_out` has samples to try a network on.
"""
