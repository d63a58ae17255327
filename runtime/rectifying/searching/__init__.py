"""Several targets in a frame: a dense network looks everywhere, and candidates that may win are refined.

In: a frame, and the interpreter of a dense file; or boxes of the caller's own detector, in place of a scan. Out:
quadrilaterals with scores, best first.
"""
