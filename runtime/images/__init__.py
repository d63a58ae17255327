"""Still images: which files are images, where each ends in a pipe, and what a person sees in them.

In: folders, globs, files, bytes. Out: paths, encoded images, and pixels as frames have them, uint8 BGR or grey. What is
left out or taken for granted is said by a `stn_rectify.runtime.errors.StnRectifyWarning`. Nothing here knows of frame
sources or annotations.
"""
