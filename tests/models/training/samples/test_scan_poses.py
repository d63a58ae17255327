"""The poses of a scan network for the frames of a pool, and `stn-train pose --scan`."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from stn_rectify.models import lightweight_stn
from stn_rectify.models.command.cli import main
from stn_rectify.models.training.samples.scan_poses import ScanNetwork
from stn_rectify.runtime.errors import DataError

REDS = np.linspace(0, 250, 5)


class _Pool:
    """Frames of ever more red, BGR."""

    frames = np.stack([np.full((96, 96, 3), (10, 20, red), np.uint8) for red in REDS])

    def __len__(self) -> int:
        return len(self.frames)


def _save_network_that_moves_by_red(file):
    frame = keras.Input((32, 32, 3))
    theta = keras.layers.Dense(6, name="theta")
    keras.Model(frame, theta(keras.layers.GlobalAveragePooling2D()(frame))).save(file)
    model = keras.models.load_model(file)
    kernel = np.zeros((3, 6))
    kernel[0, 2] = 1.0  # RGB: red moves the target to the right
    model.get_layer("theta").set_weights([kernel, np.array([0.5, 0, 0, 0, 0.5, 0])])
    model.save(file)


def test_each_frame_gets_the_pose_that_the_network_gives_it(tmp_path):
    _save_network_that_moves_by_red(tmp_path / "scan.keras")
    poses = ScanNetwork(tmp_path / "scan.keras").poses(_Pool())
    expected = np.tile(np.diag([0.5, 0.5, 1.0]), (5, 1, 1))
    expected[:, 0, 2] = REDS.astype(int) / 255
    np.testing.assert_allclose(poses, expected, atol=1e-5)


def test_a_network_that_gives_no_pose_is_refused(tmp_path):
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()]).save(tmp_path / "other.keras")
    with pytest.raises(DataError, match=r"other\.keras: no Spatial Transformer"):
        ScanNetwork(tmp_path / "other.keras")


@pytest.mark.parametrize(
    ("scan", "message"),
    [("missing.keras", "missing.keras: no such file"), ("a.refine.keras", "give the one whose poses it corrects")],
)
def test_a_scan_network_of_no_use_is_refused_before_any_frame_is_made(tmp_path, capsys, scan, message):
    arguments = ["pose", "--refine", "--out", str(tmp_path / "b.refine.keras"), "--input-shape", "32x32x3"]
    assert main([*arguments, "--scan", str(tmp_path / scan)]) in (1, 2)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "b.refine.training").exists()


@pytest.mark.slow
def test_a_refine_network_is_trained_where_its_scan_network_looks(tmp_path):
    lightweight_stn((32, 32, 3), width=0.5, transform="projective").save(tmp_path / "a.keras")
    small = ["--input-shape", "32x32x3", "--width", "0.5", "--samples", "8", "--batch-size", "4", "--epochs", "1"]
    drawn = []
    for name, scan in (("a", ["--scan", str(tmp_path / "a.keras")]), ("b", [])):
        out = tmp_path / f"{name}.refine.keras"
        assert main(["pose", "--refine", "--out", str(out), *scan, *small, "--hold-out", "0", "--jobs", "1"]) == 0
        with np.load(tmp_path / f"{name}.refine.calibration.npz") as stored:
            assert stored["margin"] == 0.2
            drawn.append(stored["frames"])
    assert (drawn[0] != drawn[1]).any(), "other crops of the same frames"
