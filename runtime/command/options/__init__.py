"""The options of the command ``stn-rectify``: words and a file of ``--config`` in, `run_options.RunOptions` out.

A file for each subject, `source`, `target`, `recognition`, `results` and `web`, says what its options are, and makes
what they ask for. `values` turns their texts into values; `config_file` reads and writes them as TOML.
"""
