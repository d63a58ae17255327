"""Many models: each in a process of its own, on this machine or a Dask cluster, with a manifest to resume by.

In: sources and options. Out: finished files under their final names, ``manifest.json``, an outcome for each.
"""
