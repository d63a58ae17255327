"""The command ``stn-train``: words in, trained .keras files and tables out.

`cli` is the program and lists the subcommands. Each is a `subcommand.Subcommand` in a file: `pose`, `prune` and `tune`
on top of `frame_training`; `recognizer`; `evaluate`. `shared_options` are those of several. ``stn-convert`` shares
`workstation`.
"""
