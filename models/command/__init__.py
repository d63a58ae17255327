"""The command ``stn-train``: words in, trained .keras files and tables out.

`cli` is the program and lists the subcommands, each a `subcommand.Subcommand` in a file of `subcommands`.
`shared_options` are those of several. ``stn-convert`` shares `workstation`.
"""
