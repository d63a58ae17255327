"""The command ``stn-rectify``: options, run, messages, and ``doctor``; `stn_rectify.runtime.cli` starts it."""
