"""The test of networks that find targets: frames with known corners, errors, overlaps, tables and pictures.

In: folders of annotated frames, or synthesised ones (`known_frames`), and a network. Out: tables and
verification sheets.
"""
