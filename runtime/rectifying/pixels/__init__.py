"""Between a frame and what a network sees of it: the whole frame made small, crops, and the target upright.

In: BGR or grey uint8 frames and poses. Out: images, in the colours and the range that a network takes, or a person.
`FramePyramid` halves a frame once for all who look at it. Nothing here asks a network.
"""
