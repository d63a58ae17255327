"""Pose supervision: networks that learn from frames with known corners.

In: synthesised frames (`frame_pool`), crops of them for refine networks (`refine_crops`). Out: a trained model, its
curve and its calibration frames. A course of training is stopped and gone on with (`course`, `checkpoint`).
"""
