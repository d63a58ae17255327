"""The command ``stn-rectify``: words in, one run or one answer out.

`cli` is the program, `options` its parser (a file beside it for each group of options), `run` a run, `doctor` the
examination of a machine. It only wires the other rooms; nothing imports it.
"""
