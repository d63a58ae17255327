"""The proof of a written file: what it holds, what its numbers can reach, what it computes.

In: a flatbuffer as written, and its networks, each with what it should compute (`bits.Reference`). Out: a `Proof`,
check by check. The reference is independent of the operators that `integer` writes.
"""
