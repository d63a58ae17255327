"""How long a fresh process takes: importing the runtime, and until the first rectified frame.

    python tests/benchmarks/startup_time.py [--model FILE] [--runs 7]

Prints the median and the range over several processes, of processor time, as machines are busy; asserts nothing.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys

IMPORT = "from stn_rectify.runtime import Rectifier"
FIRST_FRAME = """
import numpy
from stn_rectify.runtime import Rectifier
with Rectifier({model!r}) as rectifier:
    rectifier.rectify(numpy.zeros((480, 640, 3), numpy.uint8))
"""


def seconds(code: str) -> float:
    """Processor time of a fresh interpreter process that runs the code."""
    started = processor_time()
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)
    return processor_time() - started


def processor_time() -> float:
    """What all processes that have ended took so far, of this one's own, seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="general", help="a model file or a bundled model's name (general)")
    parser.add_argument("--runs", type=int, default=7, help="processes per row (7)")
    arguments = parser.parse_args()
    rows = {
        "Python alone": "pass",
        "import numpy, cv2, PIL": "import numpy, cv2, PIL.Image",
        "stn_rectify.runtime, its Rectifier": IMPORT,
        "first rectified frame, 640x480": FIRST_FRAME.format(model=arguments.model),
    }
    print(f"{'fresh process to':44} {'median':>8} {'min':>8} {'max':>8}   ({arguments.runs} runs)")
    for name, code in rows.items():
        seconds(code)  # byte code and file cache warm
        times = [seconds(code) for _ in range(arguments.runs)]
        print(f"{name:44} {statistics.median(times):7.2f}s {min(times):7.2f}s {max(times):7.2f}s")


if __name__ == "__main__":
    main()
