"""Head, grid and sampler in integers: fixed point, of built-in operators, with bounds that are proved.

In: θ's linear function, sizes, a graph to write to. Out: tensors of that graph. Why: docs/reference/integer-sampler.md.
"""
