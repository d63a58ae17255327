"""The subcommands of ``stn-train``, a file each: a class whose fields are the options, and whose ``run`` does it.

`frame_training` is the common part of those that train on synthesised frames; `evaluate` prints the tables that others
end with.
"""
