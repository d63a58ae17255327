"""The shape of what each operator makes, from its inputs and options, as an interpreter works it out.

An interpreter does not believe the shapes that a file stores: it computes them anew, and takes as much memory as that
needs. So what a file will need is known only by the same computation. A rule here knows one kind of operator, and
refuses what the operator's own code would refuse, or would not expect.

In: an operator with the shapes and values that are known of its inputs (`Node`). Out: the shapes of its outputs
(`rules.py`), the space that it works in (`layers.py`), and its output itself where that says what shape another one
has (`folding.py`).
"""
