"""The upkeep of a device that runs for years: its models are changed while it runs, and so are its options.

`models` is the command ``stn-rectify models``: it checks a model file, its signature (`signatures`) too, and swaps
it in (`model_store`). `reloading` is what SIGHUP does to a run, `health` the command that asks one how it is.
"""
