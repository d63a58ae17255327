"""How pictures are drawn: what all rooms of the synthesis share.

`images` has the picture type, `colours` random colours; `lettering` draws print in strokes, and `pictures` collages
that stand for photographs.
"""
