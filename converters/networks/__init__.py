"""The networks of a model file: a kind of network is one class, which says how it is converted, proved and reported.

In: a source and options. Out: a tuple of `Network` (`reading.read_networks`), the first of which names the file. A
further kind is a further class, a reader that puts it into the tuple, and a section of the report's page.
`classifier` is the common part of the kinds that have no spatial transformer, `companions` of those that go
into another's file.
"""
