"""Targets with readable words, in TrueType faces, as printers and computers set them.

`kinds` lists them and draws one; `documents`, `labels_and_signs` and `plates` draw each kind out of `blocks` that
several share; `typesetting` sets words and lines.
"""
