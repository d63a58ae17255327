"""Labelled images: idx files, plain and gzipped, folders, and what is wrong with them in one line."""

from __future__ import annotations

import gzip
import struct

import cv2
import numpy as np
import pytest

from stn_rectify.models.recognition.labelled_images import read_idx, read_labelled_images
from stn_rectify.runtime.errors import DataError


def write_idx(file, array, packed=False):
    content = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    file.write_bytes(gzip.compress(content) if packed else content)
    return file


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (30, 6, 5), dtype=np.uint8)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzipped"])
def test_an_idx_file_is_read_as_it_was_written(tmp_path, images, packed):
    np.testing.assert_array_equal(read_idx(write_idx(tmp_path / "a", images, packed)), images)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda c: c[:-1], "holds 915 bytes, but an array of 30x6x5 needs 916"),
        (lambda c: c[:3], "no idx file of bytes"),
        (lambda c: b"", "no idx file of bytes"),
        (lambda c: b"\0\0\x0d" + c[3:], "no idx file of bytes"),
        (lambda c: gzip.compress(c)[:-20], "cut short or is damaged"),
        (lambda c: gzip.compress(c)[:30] + b"\xff" * 200, "cut short or is damaged"),
    ],
    ids=["truncated", "a few bytes", "empty", "floats", "gzip truncated", "gzip damaged"],
)
def test_a_damaged_idx_file_is_one_clear_error(tmp_path, images, damage, message):
    file = write_idx(tmp_path / "train-images-idx3-ubyte", images)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match=message):
        read_idx(file)


def test_mnist_is_read_with_its_labels(tmp_path, images):
    labels = np.arange(30, dtype=np.uint8) % 4
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", images, packed=True)
    with pytest.raises(DataError, match="no train-labels"):
        read_labelled_images(tmp_path, (9, 9), 1)
    write_idx(tmp_path / "train-labels-idx1-ubyte", labels)
    data = read_labelled_images(tmp_path, (9, 9), 1)
    assert (data.images.shape, data.names) == ((30, 6, 5, 1), ("0", "1", "2", "3"))
    np.testing.assert_array_equal(data.labels, labels)
    assert data.digest != data[:29].digest
    write_idx(tmp_path / "train-labels-idx1-ubyte", labels[:-1])
    with pytest.raises(DataError, match="a label for each"):
        read_labelled_images(tmp_path, (9, 9), 1)
    with pytest.raises(DataError, match="grey images"):
        read_labelled_images(tmp_path, (9, 9), 3)


def test_a_folder_of_folders_is_read_well_mixed(tmp_path):
    for name, value in (("left", 40), ("right", 200)):
        (tmp_path / name).mkdir()
        for k in range(12):
            image = np.full((10, 12, 3), value, np.uint8)
            image[..., 2] = value + 20  # red, in BGR
            cv2.imwrite(str(tmp_path / name / f"{k}.png"), image)
    data = read_labelled_images(tmp_path, (8, 9), 3)
    assert (data.images.shape, data.names) == ((24, 8, 9, 3), ("left", "right"))
    np.testing.assert_array_equal(data.images[:, 0, 0, 1] > 100, data.labels == 1)
    assert (data.images[:, 0, 0, 0] == data.images[:, 0, 0, 2] + 20).all()  # RGB
    assert 0 < data.labels[12:].sum() < 12
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no image is in its sub-folder 'none'"):
        read_labelled_images(tmp_path, (8, 9), 3)


def test_a_folder_without_labels_is_refused(tmp_path):
    with pytest.raises(DataError, match="fewer than two sub-folders"):
        read_labelled_images(tmp_path, (8, 9), 3)
    with pytest.raises(DataError, match="is no folder"):
        read_labelled_images(tmp_path / "nothing", (8, 9), 3)
