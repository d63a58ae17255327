"""Rectifies a folder of images in several processes: python folder_in_processes.py photos/ upright/"""

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2

from stn_rectify.runtime import Rectifier, StnRectifyError

rectifier: Rectifier  # one in each process


def open_rectifier() -> None:
    global rectifier
    rectifier = Rectifier()


def rectify(job: tuple[Path, Path]) -> str:
    path, out = job
    try:
        result = rectifier.rectify(path)
    except StnRectifyError as error:  # the others go on
        return str(error)
    cv2.imwrite(str(out / f"{path.name}.png"), result.image)
    return f"{path.name}: score {result.score:.2f}"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python folder_in_processes.py FOLDER OUT")
    photos, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(exist_ok=True)
    jobs = [(path, out) for path in sorted(photos.iterdir()) if path.is_file()]
    context = multiprocessing.get_context("spawn")  # works the same everywhere
    with ProcessPoolExecutor(mp_context=context, initializer=open_rectifier) as pool:
        for line in pool.map(rectify, jobs):
            print(line)
