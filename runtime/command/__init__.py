"""The command ``stn-rectify``: words in, one run or one answer out.

`cli` is the program. `options/` makes frozen dataclasses of its words, and of those of a file; `finding` makes of these
what finds and reads targets, and `run` is a run with it. `doctor` examines a machine, `evaluate` measures a model, and
`upkeep/` changes what a run uses. The command only wires the other rooms; nothing imports it, but for `parsing/`, which
the commands of all packages share.
"""
