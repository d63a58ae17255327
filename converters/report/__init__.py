"""The report of one conversion: float and INT8 compared, numbers, pictures, a page.

In: a file, its proof, a `NetworkReport` of each network. Out: ``NAME.report.json``, ``NAME.report.html``, ``NAME.png``.
"""
