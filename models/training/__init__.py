"""Pose supervision: networks that learn from frames with known corners.

In: synthesised and annotated frames. Out: a trained model, its curve and its calibration frames. `pose_training`,
`dense_training` and `turn_training` each train a kind of network: over a `course`, which is stopped and gone on with,
on `samples` that are drawn in each epoch anew of `pools`, which are made once.
"""
