"""The report of one conversion: float and INT8 compared, numbers, pictures, a page.

In: a proved file, the float parts, frames. Out: ``NAME.report.json``, ``NAME.report.html``, ``NAME.png``.
"""
