"""Pictures for the page and ``NAME.png``: of frames, of a dense network's levels, of turned targets.

In: a comparison and its frames. Out: images with words.
"""
