"""The command ``stn-train``: words in, trained .keras files and tables out.

`cli` is the program. Each subcommand has a file: `pose`, `recognizer`, `prune`, `tune`, `evaluate`; the options that
several of them take are in `option_groups`. `workstation` is shared with ``stn-convert``.
"""
