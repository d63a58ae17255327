"""Counts the words of the sample page that Tesseract reads in a picture of it.

python docs/sample/count_words.py runtime/data/demo.jpg out/demo.rectified.png
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

PAGE = Path(__file__).with_name("page.html")


def words(text: str) -> Counter[str]:
    """The words and numbers of a text, each with how often it occurs."""
    return Counter(re.findall(r"[a-z0-9]+", text.lower()))


def main() -> None:
    """Prints a line for each picture that is named."""
    printed = words(re.sub("<[^>]+>", " ", PAGE.read_text(encoding="utf-8").partition("</style>")[2]))
    for picture in sys.argv[1:]:
        read = words(subprocess.run(["tesseract", picture, "-"], check=True, capture_output=True, text=True).stdout)
        print(
            f"{picture}: {(printed & read).total()} of {printed.total()} words right, {(read - printed).total()} wrong"
        )


if __name__ == "__main__":
    main()
