"""The command ``stn-train``: words in, trained .keras files and tables out.

`cli` is the program, `options` its parser. `workstation` is shared with ``stn-convert``.
"""
