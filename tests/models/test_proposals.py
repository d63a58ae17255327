"""The poses of a scan network for the frames of a pool."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from stn_rectify.models import lightweight_stn
from stn_rectify.models.training.scan_poses import scan_poses
from stn_rectify.runtime.errors import DataError


class _Pool:
    frames = np.random.default_rng(0).integers(0, 256, (5, 96, 96, 3), np.uint8)

    def __len__(self) -> int:
        return len(self.frames)


def test_an_untrained_network_looks_at_the_whole_of_every_frame(tmp_path):
    lightweight_stn((32, 32, 1), transform="affine").save(tmp_path / "scan.keras")
    poses = scan_poses(tmp_path / "scan.keras", _Pool())
    assert poses.shape == (5, 3, 3)
    np.testing.assert_allclose(poses, np.broadcast_to(np.eye(3), (5, 3, 3)), atol=0.3)


def test_a_network_that_gives_no_pose_is_refused(tmp_path):
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()]).save(tmp_path / "other.keras")
    with pytest.raises(DataError, match=r"other\.keras: no Spatial Transformer"):
        scan_poses(tmp_path / "other.keras", _Pool())
