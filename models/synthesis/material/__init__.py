"""The material that frames are composed of, drawn or read once for each seed: targets, surfaces, vehicles, photographs.

In: a seed and the user's folders (`bank.Material`). Out: a `bank.Bank`.
"""
