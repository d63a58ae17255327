"""The command ``stn-rectify``: words in, one run or one answer out.

`cli` is the program, `options` makes frozen dataclasses of its words, and of those of a `config_file` (their fields are
the options, see `option_groups`; a file beside it for each subject), `run` is a run, `doctor` the examination of a
machine. It only wires the other rooms; nothing imports it, but for `parsing`, which the commands of all packages share.
"""
