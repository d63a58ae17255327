"""Makes the ONNX files of this folder, and what PyTorch itself gives for them: torch 2.13.0, onnx 1.23.2, Pillow.

    python3 -m venv E && E/bin/pip install torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2 pillow
    E/bin/python tests/converters/pytorch_models/make_files.py [NAME...]

For each network ``NAME.onnx`` and ``NAME.npz``: frames to calibrate with, ``calibration``, and others, ``frames``,
uint8 [N, H, W, C]; of PyTorch for the latter ``images`` (the sampler's, of the first ones, [n, h, w, C], from 0 to 1,
float16), ``theta`` [N, 6] and ``scores`` [N, 10]. Those of the tutorial's network are there for each of `VARIANTS`, by
their names; its file is that of the first, the others are the same but for attributes.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import nn
from torch.nn import functional

HERE = Path(__file__).parent
VARIANTS = {
    f"{'aligned' if aligned else 'centres'}-{padding}": (aligned, padding)
    for aligned in (False, True)
    for padding in ("zeros", "border", "reflection")
}
NORMALISED = 0.45, 0.22


def digits(count: int, size: tuple[int, int], channels: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Turned, scaled and moved digits, uint8 [N, H, W, C], and which they are."""
    rng = np.random.default_rng(seed)
    height, width = size
    frames, labels = np.empty((count, height, width, channels), np.uint8), rng.integers(0, 10, count)
    side = 3 * min(size) // 4
    font = ImageFont.load_default(side)
    for frame, label in zip(frames, labels, strict=True):
        stamp = Image.new("L", (2 * side, 2 * side))
        ImageDraw.Draw(stamp).text((side, side), str(label), 255, font, anchor="mm")
        angle, scale = rng.uniform(-0.7, 0.7), rng.uniform(0.85, 1.25)
        c, s = scale * np.cos(angle), scale * np.sin(angle)
        middle = np.array([width, height]) / 2 + rng.uniform(-0.12, 0.12, 2) * [width, height]
        x, y = side - np.array([[c, s], [-s, c]]) @ middle
        mask = np.asarray(stamp.transform((width, height), Image.AFFINE, (c, s, x, -s, c, y), Image.BILINEAR)) / 255
        ink, paper = rng.uniform(150, 255, channels), rng.uniform(0, 70, channels)
        frame[:] = paper + mask[..., None] * (ink - paper)
    return frames, labels


def given(frames: np.ndarray) -> torch.Tensor:
    """Frames as the networks take them: [N, C, H, W], from 0 to 1."""
    return torch.tensor(frames.transpose(0, 3, 1, 2).copy(), dtype=torch.float32) / 255


def end_with_identity(layer: nn.Linear) -> nn.Linear:
    """A last layer that gives the identity before it is trained."""
    nn.init.normal_(layer.weight, 0, 1e-3)
    layer.bias.data.copy_(torch.tensor([1, 0, 0, 0, 1, 0.0]))
    return layer


class Tutorial(nn.Module):
    """The network of PyTorch's tutorial on spatial transformers (G. Hamrouni), its fc1 of 24 instead of 50.

    https://docs.pytorch.org/tutorials/intermediate/spatial_transformer_tutorial.html
    """

    size, channels = (28, 28), 1

    def __init__(self) -> None:
        super().__init__()
        self.localization = nn.Sequential(
            nn.Conv2d(1, 8, 7),
            nn.MaxPool2d(2, 2),
            nn.ReLU(True),
            nn.Conv2d(8, 10, 5),
            nn.MaxPool2d(2, 2),
            nn.ReLU(True),
        )
        self.fc_loc = nn.Sequential(nn.Linear(90, 32), nn.ReLU(True), end_with_identity(nn.Linear(32, 6)))
        self.conv1, self.conv2 = nn.Conv2d(1, 10, 5), nn.Conv2d(10, 20, 5)
        self.drop, self.fc1, self.fc2 = nn.Dropout2d(), nn.Linear(320, 24), nn.Linear(24, 10)
        self.aligned, self.padding = VARIANTS["centres-zeros"]

    def stn(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        theta = self.fc_loc(self.localization(x).view(-1, 90)).view(-1, 2, 3)
        grid = functional.affine_grid(theta, x.size(), align_corners=self.aligned)
        return functional.grid_sample(x, grid, padding_mode=self.padding, align_corners=self.aligned), theta

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, _ = self.stn(x)
        x = functional.relu(functional.max_pool2d(self.conv1(x), 2))
        x = functional.relu(functional.max_pool2d(self.drop(self.conv2(x)), 2)).view(-1, 320)
        x = functional.dropout(functional.relu(self.fc1(x)), training=self.training)
        return functional.log_softmax(self.fc2(x), dim=1)


class Colour(nn.Module):
    """A localization network of depthwise convolutions on scaled colours; a smaller image; scores and θ put out."""

    size, channels, image = (64, 64), 3, (24, 24)

    def __init__(self) -> None:
        super().__init__()

        def block(before: int, after: int, stride: int) -> list[nn.Module]:
            depthwise = nn.Conv2d(before, before, 3, stride, 1, groups=before, bias=False)
            return [depthwise, nn.BatchNorm2d(before), nn.ReLU6(), nn.Conv2d(before, after, 1, bias=False),
                    nn.BatchNorm2d(after), nn.Hardswish()]  # fmt: skip

        self.trunk = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.PReLU(8), nn.MaxPool2d(3, 2, 1),
            *block(8, 16, 2), *block(16, 24, 2), nn.AvgPool2d(2),
        )  # fmt: skip
        self.theta = end_with_identity(nn.Linear(96, 6))
        self.reader = nn.Sequential(
            nn.Conv2d(3, 12, 3, 2, 1), nn.LeakyReLU(0.1), nn.Conv2d(12, 24, 3, 2, 1), nn.ReLU(), nn.Flatten(),
            nn.Dropout(0.2), nn.Linear(24 * 36, 10),
        )  # fmt: skip

    def stn(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, deviation = NORMALISED
        theta = self.theta(torch.flatten(self.trunk((x - mean) / deviation), 1)).view(-1, 2, 3)
        grid = functional.affine_grid(theta, [x.size(0), 3, *self.image], align_corners=True)
        return functional.grid_sample(x, grid, padding_mode="border", align_corners=True), theta

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        image, theta = self.stn(x)
        return functional.softmax(self.reader(image), dim=1), theta


class Wide(nn.Module):
    """A grid in plain operations, as before operator set 20; the mean over the image; frames of 96×128."""

    size, channels, image = (96, 128), 3, (32, 24)

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 8, 5, 4, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1, groups=4), nn.SiLU(),
            nn.Conv2d(16, 12, 3, 2, 1), nn.Tanh(),
        )  # fmt: skip
        self.theta = end_with_identity(nn.Linear(12 * 6 * 8, 6))
        self.reader = nn.Sequential(
            nn.Conv2d(3, 12, 3, 2), nn.GELU("tanh"), nn.Conv2d(12, 16, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        )
        self.scores = nn.Linear(16, 10)

    def stn(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        theta = self.theta(self.trunk(x).reshape(x.shape[0], -1)).reshape(-1, 2, 3)
        height, width = self.image
        y, across = torch.meshgrid(
            (2 * torch.arange(height) + 1) / height - 1, (2 * torch.arange(width) + 1) / width - 1, indexing="ij"
        )
        points = torch.stack([across, y, torch.ones_like(across)], dim=-1).reshape(1, -1, 3)
        grid = torch.matmul(points, theta.transpose(1, 2)).reshape(-1, height, width, 2)
        return functional.grid_sample(x, grid, align_corners=False), theta

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        image, _ = self.stn(x)
        return self.scores(self.reader(image).mean(dim=[2, 3]))


def trained(model: nn.Module, count: int, epochs: int) -> nn.Module:
    """The network after some epochs on digits; what it reaches is printed."""
    frames, labels = digits(count, model.size, model.channels, 1)
    inputs, targets = given(frames), torch.tensor(labels)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, epochs * -(-count // 64))
    for _ in range(epochs):
        model.train()
        for part in torch.randperm(count).split(64):
            scores = model(inputs[part])
            scores = scores[0] if isinstance(scores, tuple) else scores
            logs = torch.log(scores + 1e-9) if isinstance(model, Colour) else scores
            loss = functional.cross_entropy(logs, targets[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()
    frames, labels = digits(500, model.size, model.channels, 2)
    with torch.no_grad():
        scores = model(given(frames))
    scores = scores[0] if isinstance(scores, tuple) else scores
    print(type(model).__name__, "right:", float((scores.argmax(1).numpy() == labels).mean()), flush=True)
    return model


def frames_of(model: nn.Module, calibration: int, compared: int) -> dict[str, np.ndarray]:
    """Frames that the network was not trained on."""
    frames, _ = digits(calibration + compared, model.size, model.channels, 3)
    return {"calibration": frames[:calibration], "frames": frames[calibration:]}


def of_torch(model: nn.Module, frames: np.ndarray, pictured: int) -> dict[str, np.ndarray]:
    """What PyTorch gives for frames; images of the first ones."""
    with torch.no_grad():
        images, theta = model.stn(given(frames))
        scores = model(given(frames))
    scores = scores[0] if isinstance(scores, tuple) else scores
    images = images[:pictured].numpy().transpose(0, 2, 3, 1).astype(np.float16)
    return {"images": images, "theta": theta.reshape(-1, 6).numpy(), "scores": scores.numpy()}


def exported(model: nn.Module, **options: object) -> onnx.ModelProto:
    """What torch.onnx.export makes of it, weights in the file."""
    file = io.BytesIO()
    example = torch.zeros(1, model.channels, *model.size)
    if options["dynamo"]:
        torch.onnx.export(model, (example,), input_names=["frame"], **options).save(file)
    else:
        torch.onnx.export(model, (example,), file, input_names=["frame"], **options)
    return onnx.load_from_string(file.getvalue())


def without_notes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same without what says where in the source a node comes from."""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del model.graph.value_info[:]
    return model


def with_convention(model: onnx.ModelProto, aligned: bool, padding: str) -> onnx.ModelProto:
    """The same file for another convention."""
    for attribute in (a for node in model.graph.node for a in node.attribute):
        if attribute.name == "align_corners":
            attribute.i = int(aligned)
        elif attribute.name == "padding_mode":
            attribute.s = padding.encode()
    return model


def make_tutorial() -> None:
    model = trained(Tutorial(), 4000, 12)
    file = without_notes(exported(model, dynamo=False, opset_version=20))
    arrays = frames_of(model, 40, 200)
    for name, (aligned, padding) in VARIANTS.items():
        model.aligned, model.padding = aligned, padding
        again = without_notes(exported(model, dynamo=False, opset_version=20))
        assert again == with_convention(file, aligned, padding), name
        arrays |= {f"{name} {key}": value for key, value in of_torch(model, arrays["frames"], 8).items()}
    onnx.save(with_convention(file, *VARIANTS["centres-zeros"]), HERE / "tutorial.onnx")
    np.savez_compressed(HERE / "tutorial.npz", **arrays)


def make_colour() -> None:
    model = trained(Colour(), 3000, 12)
    onnx.save(without_notes(exported(model, dynamo=True)), HERE / "colour.onnx")
    arrays = frames_of(model, 40, 60)
    np.savez_compressed(HERE / "colour.npz", **arrays, **of_torch(model, arrays["frames"], 8))


def make_wide() -> None:
    model = Wide().eval()  # untrained: the form of its grid is what it is for
    nn.init.normal_(model.theta.weight, 0, 0.02)
    nn.init.normal_(model.scores.weight, 0, 4.0)
    open_batch = {"dynamic_axes": {"frame": {0: "batch"}}}
    onnx.save(without_notes(exported(model, dynamo=False, opset_version=16, **open_batch)), HERE / "wide.onnx")
    arrays = frames_of(model, 24, 16)
    np.savez_compressed(HERE / "wide.npz", **arrays, **of_torch(model, arrays["frames"], 4))


def main() -> None:
    """Makes all, or those that are named. Weights differ a little from machine to machine."""
    torch.set_num_threads(1)
    makers = {"tutorial": make_tutorial, "colour": make_colour, "wide": make_wide}
    for name in sys.argv[1:] or makers:
        torch.manual_seed(0)
        makers[name]()


if __name__ == "__main__":
    main()
