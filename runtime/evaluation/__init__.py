"""The test of model files as a device runs them: annotated frames in, tables and pictures out.

`corner_errors` and `presence` measure where targets were found and what a score is worth, for the networks of the
workstation as well; `search` looks for the targets of a folder with a `Rectifier`, `measures` says how well they were
found, `tables` and `sheet` show it.
"""
