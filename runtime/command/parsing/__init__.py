"""Command lines, the same for all three programs: an options' dataclass in, its values out, or one line of error.

`option_groups` makes a parser of the dataclass's fields, `parser` is that parser, and the numbers it takes.
"""
