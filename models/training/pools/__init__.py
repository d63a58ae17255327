"""Pools of stored samples: what is synthesised, or taken of annotated frames, once for a training, and kept on disk.

`stored_pool.StoredPool` makes and keeps arrays, in processes; each further pool says what an item is. Nothing here
needs Keras, so that those processes start fast.
"""
