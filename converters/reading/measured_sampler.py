"""Reads one sampler of a graph: what its θ means, and the linear function that gives it.

Nothing is believed: where our own grid and sampler give the same image they are taken, any other bilinear sampler is
measured, and folded into the linear function (`foreign`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from stn_rectify.converters.reading.foreign.borders import MOST_DIFFERENCE, find_border
from stn_rectify.converters.reading.foreign.convention import Convention, convention_name, fold
from stn_rectify.converters.reading.foreign.coordinates import Levels, PoseMap, SamplerProbe
from stn_rectify.converters.reading.foreign.fitting import MOST_RESIDUAL_PX
from stn_rectify.converters.reading.foreign.frozen_graph import FrozenGraph, constant, described, linear_source
from stn_rectify.converters.reading.foreign.sampler_site import SamplerSite
from stn_rectify.converters.reading.graph_check import first_without_int8
from stn_rectify.models.network.layers import PADDINGS, AffineGrid, BilinearSampler, ProjectiveGrid, ThinPlateSplineGrid
from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.errors import ModelFileError
from stn_rectify.runtime.geometry import THETA_SIZE, identity_theta

_GRIDS: dict[str, Any] = {"affine": AffineGrid, "projective": ProjectiveGrid, "tps": ThinPlateSplineGrid}
_POSES = 8


@dataclass(frozen=True)
class MeasuredPose:
    """θ of a graph, and what it means.

    Attributes:
        theta: the tensor, [B, n].
        transform: ``"affine"``, ``"projective"`` or ``"tps"``.
        padding: of `PADDINGS`.
        convention: how its numbers become those of our θ; None: they are.
        levels: of the sampler's image; None: the frame's own.
    """

    theta: Any
    transform: str
    padding: str
    convention: Convention | None
    levels: Levels | None = None


class SamplerReader:
    """Reads the samplers of one graph.

    Args:
        graph: of the model.
        accept_border: take the nearest of our paddings where a sampler's is none of them.
    """

    def __init__(self, graph: FrozenGraph, *, accept_border: bool) -> None:
        self.graph, self.name = graph, graph.name
        self._accept_border = accept_border

    # The linear function before θ

    def linear(
        self, theta: Any, starts: Collection[Any] = ()
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], Any]:
        """Kernel, bias and the tensor that they are applied to: the input of the first product in a row of them.

        Args:
            theta: what they give.
            starts: where the part of the graph begins that must become integers, besides the frame.
        """
        tensor, features = self.graph.behind(theta), None
        while (source := linear_source(tensor)) is not None:
            if tensor.op.type == "MatMul":
                features = source
            tensor = self.graph.behind(source)
        size = self.graph.row_size(theta)
        if features is None:  # behind an activation: as it is
            self._refuse_float(theta, starts)
            return np.eye(size, dtype=np.float32), np.zeros(size, np.float32), theta
        direct = self._dense(theta, features)
        if direct is not None:
            return *direct, features
        count = self.graph.row_size(features)
        bias = self.graph.run([(features, np.zeros((1, count), np.float32))], theta)
        kernel = self.graph.run([(features, np.eye(count, dtype=np.float32))], theta) - bias
        return kernel, bias[0], features

    def _refuse_float(self, theta: Any, starts: Collection[Any]) -> None:
        """Refuses a θ made of what the last dense layer gives by functions that have no INT8 operator."""
        refused = first_without_int8(self.graph, [self.graph.frame, *starts], [theta])
        if refused is not None:
            raise ModelFileError(
                f"{self.name}: the places where its sampler reads are a linear function of {described(theta)}, but "
                f"that is made by {described(refused.outputs[0])}, which has no INT8 operator; let the network give "
                "the matrix itself"
            )

    def _dense(self, theta: Any, features: Any) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None:
        """Kernel and bias as they are in the graph, to the last bit; None if there is more between the two tensors."""
        op, bias = theta.op, np.zeros(1, np.float32)
        if op.type in ("BiasAdd", "Add", "AddV2"):
            sides = list(op.inputs)
            which = 1 if constant(sides[1]) is not None else 0
            added = constant(sides[which])
            bias = bias if added is None else np.float32(added).ravel()
            op = self.graph.behind(sides[1 - which]).op
        if op.type != "MatMul" or op.inputs[0] is not features or op.get_attr("transpose_b"):
            return None
        bias = np.broadcast_to(bias, theta.shape[1])
        return np.asarray(constant(op.inputs[1]), np.float32), np.array(bias, np.float32)

    # What was measured

    def pose(self, site: SamplerSite) -> MeasuredPose:
        """The first tensor that is θ: the sampler is ours, or reads at places that are a linear function of it."""
        for theta in site.thetas:
            ours = self._ours(theta, site, self._sampler(theta, site))
            if ours is not None:
                return ours
        for theta in site.thetas:
            sample, usual = self._sampler(theta, site), self._usual_theta(theta)
            probe = SamplerProbe(self.name, sample, site.image_shape, usual, self.graph.batch)
            found = probe.pose_map()
            if found is not None:
                return self._folded(theta, site, probe, found)
        raise ModelFileError(
            f"{self.name}: the places where its sampler reads are no linear function of {described(site.thetas[0])}, "
            f"within {MOST_RESIDUAL_PX:g} px, nor of what is made of it before the grid; affine and projective "
            "transforms of any convention can be converted, and grids of stn_rectify"
        )

    def _sampler(self, theta: Any, site: SamplerSite) -> Callable[[Array, Array], Array]:
        frame, image = self.graph.frame, site.image
        # The frame may be looked at besides for its batch size.
        part = self.graph.part([image, theta] if image is frame else [image, theta, frame], [site.rectified])

        def sample(images: Array, thetas: Array) -> Array:
            given = [images, thetas]
            if image is not frame:
                given.append(np.zeros((len(images), *frame.shape[1:]), np.float32))
            (sampled,) = part(*(tf.constant(values, tf.float32) for values in given))
            return np.asarray(sampled)

        return sample

    def _usual_theta(self, theta: Any) -> Array:
        """The mean θ of some frames of noise, float64 [n]."""
        count = self.graph.batch or 4
        frames = np.random.default_rng(2).random((count, *self.graph.frame.shape[1:]), np.float32)
        return np.asarray(self.graph.run([(self.graph.frame, frames)], theta).mean(axis=0), np.float64)

    def _ours(self, theta: Any, site: SamplerSite, sample: Callable[[Array, Array], Array]) -> MeasuredPose | None:
        """The transform and padding with which our layers give the same image, for random frames and poses."""
        size = self.graph.row_size(theta)
        transform = next((name for name, numbers in THETA_SIZE.items() if numbers == size), None)
        if transform is None:
            return None
        grid = _GRIDS[transform](site.image_shape[:2], site.size)
        rng = np.random.default_rng(0)
        identity = identity_theta(transform)
        difference = dict.fromkeys(PADDINGS, 0.0)
        count = self.graph.batch or 1
        for _ in range(_POSES):
            frames = rng.random((count, *site.image_shape), np.float32)
            poses = np.asarray(identity + rng.normal(0, 0.15, (count, len(identity))), np.float32)
            theirs = sample(frames, poses)
            places = grid(poses)
            for padding in PADDINGS:
                ours = np.asarray(BilinearSampler(padding)([frames, places]))
                difference[padding] = max(difference[padding], float(np.abs(ours - theirs).max()))
            if min(difference.values()) > MOST_DIFFERENCE:
                return None
        best = min(difference, key=lambda padding: difference[padding])
        return MeasuredPose(theta, transform, best, None)

    def _folded(self, theta: Any, site: SamplerSite, probe: SamplerProbe, found: PoseMap) -> MeasuredPose:
        folded = fold(found, site.image_shape[:2], site.size)
        if folded is None:
            raise ModelFileError(
                f"{self.name}: its sampler is projective, but H[2, 2] in normalised coordinates depends on "
                f"{described(theta)}: it would have to be divided by, which is not linear; give theta normalised from "
                "-1 to 1 about the middle"
            )
        border = find_border(probe, found)
        notes: tuple[str, ...] = ()
        if not border.exact:
            share = f"{100 * border.differs:.1f} % of the pixels differ on poses that leave the frame"
            what = (
                f"what its sampler makes of places outside the frame ({border.name}) is none of {', '.join(PADDINGS)}"
            )
            if not self._accept_border:
                raise ModelFileError(
                    f"{self.name}: {what}; with --accept-border the nearest, {border.padding}, is taken: {share}"
                )
            notes = (f"{what}: {border.padding} was taken (--accept-border), and {share}",)
        input_size = site.image_shape[:2]
        B, b = folded
        name = convention_name(found, input_size, site.size)
        convention = Convention(name, found.residual_px, border.name, border.differs, notes, B, b)
        levels = None if probe.levels.are_the_frames else probe.levels
        return MeasuredPose(theta, found.transform, border.padding, convention, levels)
