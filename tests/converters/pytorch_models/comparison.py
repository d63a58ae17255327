"""INT8 files of PyTorch's networks beside PyTorch's own numbers, which lie in this folder; no PyTorch is needed.

    python -m tests.converters.pytorch_models.comparison

For each network, the tutorial's in each convention: how far the sampler's image is from PyTorch's, mean and 95th
percentile, levels of 255; the corners, mean and largest, pixels of the frame; and in how many frames the class is the
same. The files are asked as a device asks them, in a process without TensorFlow.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from stn_rectify.converters.conversion import convert
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.runtime.geometry import theta_to_corners

HERE = Path(__file__).parent
VARIANTS = {
    f"{'aligned' if aligned else 'centres'}-{padding}": (aligned, padding)
    for aligned in (0, 1)
    for padding in ("zeros", "border", "reflection")
}
#: All that is compared: names as in `prepare`.
NAMES = (*(f"tutorial {variant}" for variant in VARIANTS), "colour", "wide")

_DEVICE = """
import sys
import numpy as np
from stn_rectify.runtime import Rectifier
file, frames, answers = sys.argv[1:]
with Rectifier(file, output="model") as rectifier:
    results = [rectifier.rectify(frame[..., ::-1]) for frame in np.load(frames)["frames"]]
np.savez(
    answers, images=np.stack([result.image for result in results]), corners=np.stack([r.corners for r in results]),
    scores=np.stack([result.class_scores for result in results]),
)
"""


@dataclass(frozen=True)
class Difference:
    """What INT8 changes.

    Attributes:
        levels_mean: of the sampler's image from PyTorch's, levels of 255.
        levels_p95: 95th percentile of it, over all pixels.
        corners_mean_px: of the corners that PyTorch's θ means.
        corners_max_px: the largest, over frames and corners.
        same_class: share of the frames.
        frames: how many.
        line: what the conversion says.
        warnings: of its report.
    """

    levels_mean: float
    levels_p95: float
    corners_mean_px: float
    corners_max_px: float
    same_class: float
    frames: int
    line: str
    warnings: Sequence[str]


def prepare(name: str, folder: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """Puts the ONNX file of a network into a folder; gives it, and PyTorch's numbers."""
    network, _, variant = name.partition(" ")
    model, numbers = onnx.load(HERE / f"{network}.onnx"), dict(np.load(HERE / f"{network}.npz"))
    if variant:
        aligned, padding = VARIANTS[variant]
        for attribute in (a for node in model.graph.node for a in node.attribute):
            if attribute.name == "align_corners":
                attribute.i = aligned
            elif attribute.name == "padding_mode":
                attribute.s = padding.encode()
        numbers |= {key: numbers[f"{variant} {key}"] for key in ("images", "theta", "scores")}
    file = folder / f"{name.replace(' ', '-')}.onnx"
    onnx.save(model, file)
    return file, numbers


def measured(name: str, folder: Path) -> Difference:
    """Converts a network, runs the file and compares."""
    source, numbers = prepare(name, folder)
    np.savez(folder / "calibration.npz", frames=numbers["calibration"])
    np.savez(folder / "frames.npz", frames=numbers["frames"])
    options = ConversionOptions(folder / "calibration.npz", latency=False, accept_border=True)
    conversion = convert(source, folder / "out", options)
    words = [sys.executable, "-c", _DEVICE, conversion.path, folder / "frames.npz", folder / "answers.npz"]
    subprocess.run(list(map(str, words)), check=True)
    answers = dict(np.load(folder / "answers.npz"))
    images = answers["images"][: len(numbers["images"])].astype(np.float64)
    images = images[..., ::-1] if images.ndim == 4 else images[..., None]
    levels = np.abs(images - 255 * numbers["images"].astype(np.float64))
    corners = np.linalg.norm(answers["corners"] - true_corners(name, numbers), axis=-1)
    same = answers["scores"].argmax(axis=1) == numbers["scores"].argmax(axis=1)
    return Difference(
        float(levels.mean()), float(np.percentile(levels, 95)), float(corners.mean()), float(corners.max()),
        float(same.mean()), len(same), str(conversion), conversion.networks[0].warnings,
    )  # fmt: skip


def true_corners(name: str, numbers: dict[str, np.ndarray]) -> np.ndarray:
    """The corners [N, 4, 2] that PyTorch's θ means, pixels of the frame, by what ``affine_grid`` documents.

    With ``align_corners`` -1 and 1 are the centres of the first and the last pixel, in the frame as in the image; the
    outer edges of the image lie half a pixel outside.
    """
    height, width = numbers["frames"].shape[1:3]
    theta = numbers["theta"].astype(np.float64)
    if "aligned" not in name and name != "colour":
        return np.stack([theta_to_corners(row, width, height) for row in theta])
    rows, columns = numbers["images"].shape[1:3]
    x, y = columns / (columns - 1), rows / (rows - 1)
    edges = np.array([[-x, -y, 1], [x, -y, 1], [x, y, 1], [-x, y, 1]])
    return (np.einsum("nij,kj->nki", theta.reshape(-1, 2, 3), edges) + 1) / 2 * [width - 1, height - 1]


def main() -> None:
    """Prints the table."""
    print(f"{'':28}  levels: mean, p95    corners px: mean, max    same class")
    for name in NAMES:
        with tempfile.TemporaryDirectory() as folder:
            found = measured(name, Path(folder))
        levels = f"{found.levels_mean:.2f}, {found.levels_p95:.1f}"
        corners = f"{found.corners_mean_px:.2f}, {found.corners_max_px:.2f}"
        share = f"{100 * found.same_class:.1f} % of {found.frames}"
        print(f"{name:28}  {levels:18}  {corners:23}  {share}", flush=True)


if __name__ == "__main__":
    main()
