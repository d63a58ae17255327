"""Further looks at a target that has been found: how far off its pose is, and which of its sides is up.

In: a frame, the pose so far, and the interpreter of a file with a refine or a turn network. Out: a better pose, with a
score; the number of quarter turns.
"""
