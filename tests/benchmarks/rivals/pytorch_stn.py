"""The PyTorch twin of `lightweight_stn`, with its weights, through ONNX and onnx2tf: called by stn_files.py.

    E/bin/python tests/benchmarks/rivals/pytorch_stn.py DIR --out OUT [--transform projective]

DIR holds frames.npz and the Keras model's weights.npz and results (keras.npz). Needs torch, onnx and onnx2tf only.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

BLOCKS = ((16, 1), (24, 2), (32, 1), (48, 1), (48, 1), (64, 2), (64, 1), (64, 1), (64, 1))
LOCALIZATION_PX = 64
BN_EPSILON = 1e-3  # Keras's


class Convolution(nn.Module):
    """Convolution, batch normalization, ReLU6; padded evenly on all sides, as one does in PyTorch."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int, groups: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
        self.normalization = nn.BatchNorm2d(outputs, eps=BN_EPSILON)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu6(self.normalization(self.convolution(x)))


class Stn(nn.Module):
    """Localization network, grid and sampler: frame [1, C, H, W] → rectified, theta, score."""

    def __init__(self, size: tuple[int, int, int], transform: str, weights: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.size, self.transform, self.weights = size, transform, weights
        self.stem = Convolution(size[2], 16, 3, 2)
        self.depthwise, self.pointwise = nn.ModuleList(), nn.ModuleList()
        channels = 16
        for outputs, stride in BLOCKS:
            self.depthwise.append(Convolution(channels, channels, 3, stride, groups=channels))
            self.pointwise.append(Convolution(channels, outputs, 1, 1))
            channels = outputs
        self.squeeze = Convolution(64, 32, 1, 1)
        last = min(size[0], LOCALIZATION_PX) // 8
        self.row_profile = nn.Conv2d(32, 32, (1, last), groups=32, bias=False)
        self.column_profile = nn.Conv2d(32, 32, (last, 1), groups=32, bias=False)
        self.features = nn.Linear(64 * last, 48)
        self.theta = nn.Linear(48, 6 if transform == "affine" else 8)
        self.score = nn.Linear(48, 1)
        self.register_buffer("points", self._points())
        self._take_weights()

    def _points(self) -> torch.Tensor:
        """Output points (x, y, 1), normalised, [1, N, 3]."""
        height, width, _ = self.size
        x, y = ((2 * torch.arange(n) + 1) / n - 1 for n in (width, height))
        rows, columns = torch.meshgrid(y, x, indexing="ij")
        return torch.stack([columns, rows, torch.ones_like(rows)], dim=-1).reshape(1, -1, 3)

    def _take_weights(self) -> None:
        self._take(self.stem, "stem", "stem")
        for number, (depthwise, pointwise) in enumerate(zip(self.depthwise, self.pointwise, strict=True), start=1):
            self._take(depthwise, f"block{number}_depthwise", f"block{number}_depthwise")
            self._take(pointwise, f"block{number}_pointwise", f"block{number}_pointwise")
        self._take(self.squeeze, "squeeze", "squeeze")
        for name in ("row_profile", "column_profile"):
            getattr(self, name).weight.data = self._kernel(name)
        for name in ("features", "theta", "score"):
            layer = getattr(self, name)
            layer.weight.data = torch.from_numpy(self.weights[f"{name}/0"].T.copy())
            layer.bias.data = torch.from_numpy(self.weights[f"{name}/1"])

    def _kernel(self, name: str) -> torch.Tensor:
        kernel = self.weights[f"{name}/0"]
        order = (2, 3, 0, 1) if "depthwise" in name or "profile" in name else (3, 2, 0, 1)
        return torch.from_numpy(kernel.transpose(order).copy())

    def _take(self, module: Convolution, name: str, prefix: str) -> None:
        module.convolution.weight.data = self._kernel(name)
        norm = module.normalization
        tensors = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
        for position, tensor in enumerate(tensors):
            tensor.data = torch.from_numpy(self.weights[f"{prefix}_bn/{position}"])

    def forward(self, frame: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        height = self.size[0]
        x = frame
        if height > LOCALIZATION_PX:
            factor = height // LOCALIZATION_PX
            x = functional.avg_pool2d(x, factor) if factor > 1 else x
            if height // factor != LOCALIZATION_PX:
                scale = LOCALIZATION_PX / (height // factor)
                x = functional.interpolate(x, scale_factor=(scale, scale), mode="bilinear", align_corners=False)
        x = self.stem(x)
        for depthwise, pointwise in zip(self.depthwise, self.pointwise, strict=True):
            y = pointwise(depthwise(x))
            x = x + y if x.shape == y.shape else y
        x = self.squeeze(x)
        profiles = [p(x).permute(0, 2, 3, 1).flatten(1) for p in (self.row_profile, self.column_profile)]
        vector = functional.relu6(self.features(torch.cat(profiles, dim=1)))
        theta = self.theta(vector)
        rectified = functional.grid_sample(frame, self._grid(theta), padding_mode="zeros", align_corners=False)
        return rectified, theta, torch.sigmoid(self.score(vector))

    def _grid(self, theta: torch.Tensor) -> torch.Tensor:
        """What affine_grid computes, spelled out: it has no ONNX operator before opset 20."""
        height, width, _ = self.size
        if self.transform == "affine":
            return (self.points @ theta.view(1, 2, 3).transpose(1, 2)).view(1, height, width, 2)
        matrix = torch.cat([theta, torch.ones_like(theta[:, :1])], dim=1).view(1, 3, 3)
        mapped = self.points @ matrix.transpose(1, 2)
        return (mapped[..., :2] / mapped[..., 2:].clamp(min=1 / 256)).view(1, height, width, 2)


def _stand_in(frames: np.ndarray, folder: Path) -> None:
    """onnx2tf downloads pictures to try its layers on, unless a file of this name lies where it runs: our frames."""
    pictures = functional.interpolate(torch.from_numpy(frames[:20].transpose(0, 3, 1, 2).copy()), (128, 128))
    pictures = pictures.expand(-1, 3, -1, -1).numpy().transpose(0, 2, 3, 1)
    np.save(folder / "calibration_image_sample_data_20x128x128x3_float32.npy", np.ascontiguousarray(pictures))


def main() -> None:
    """Checks the twin against Keras, exports it and runs onnx2tf."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--transform", choices=("affine", "projective"), default="affine")
    arguments = parser.parse_args()
    arguments.out = arguments.out.resolve()
    arguments.out.mkdir(parents=True, exist_ok=True)
    frames = np.load(arguments.folder / "frames.npz")["frames"] / np.float32(255)
    keras = np.load(arguments.folder / "keras.npz")
    size = frames.shape[1:]
    model = Stn(size, arguments.transform, dict(np.load(arguments.folder / "weights.npz"))).eval()
    images = torch.from_numpy(frames.transpose(0, 3, 1, 2).copy())
    sample = images[:1]
    with torch.no_grad():
        theta = torch.cat([model(image)[1] for image in images.split(1)]).numpy()
    np.savez(arguments.folder / "pytorch.npz", theta=theta)
    print(f"PyTorch's theta is within {np.abs(theta - keras['theta']).max():.3f} of Keras's", flush=True)
    onnx, calibration = arguments.out / "stn.onnx", arguments.out / "calibration.npy"
    names = ["rectified", "theta", "score"]
    torch.onnx.export(model, (sample,), onnx, input_names=["frame"], output_names=names, opset_version=16, dynamo=False)
    np.save(calibration, frames)
    _stand_in(frames, arguments.out)
    ones = str(np.ones((1, 1, 1, size[2])).tolist())
    programs = Path(sys.executable).parent
    command = [
        *(programs / "onnx2tf", "-i", onnx, "-o", arguments.out, "-oiqt", "-v", "warn"),
        *("-cind", "frame", calibration, ones.replace("1.0", "0.0"), ones),
    ]  # fmt: skip
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}  # it calls onnxsim by its name
    with open(arguments.out / "onnx2tf.log", "w") as log:
        subprocess.run(command, check=True, cwd=arguments.out, env=environment, stdout=log, stderr=subprocess.STDOUT)


if __name__ == "__main__":
    main()
