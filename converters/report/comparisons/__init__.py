"""INT8 beside float, in numbers: a comparison for each kind of network.

In: a file that passed its proof, the float network, frames. Out: a dataclass of numbers, whose ``summary()`` goes
into the report.
"""
