"""Training samples and batches, drawn of the pools anew in each epoch, and what a network should say of them.

Frames (`frame_batches`), crops for refine networks (`refine_crops`, `scene_crops`), windows and cells for dense ones
(`dense_batches`, `dense_targets`), turned targets (`turn_batches`); `joint_pool` draws of several pools.
`scan_poses` and `dense_candidates` are the poses that a trained network gives the frames of a pool, where a refine
network will start from.
"""
