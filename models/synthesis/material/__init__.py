"""The material that frames are composed of, drawn or read once for each seed: targets, surfaces, vehicles, photographs.

Out: a `bank.Bank`.
"""
