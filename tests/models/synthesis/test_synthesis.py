"""The frame synthesiser: the same frames for ever, and corners that are where the target is."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_rectify.models.synthesis import TARGET_KINDS, FrameSynthesiser, SynthesisedFrame
from stn_rectify.models.synthesis.material import bank
from stn_rectify.models.synthesis.photography.poses import MAX_ROTATION_DEG, MIN_VISIBLE, draw_pose, rotation_deg
from stn_rectify.models.synthesis.targets.kinds import draw_target
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import is_valid_quadrilateral

FRAME_SIZE = (320, 240)
MAGENTA = (255, 0, 255)


@pytest.fixture(scope="module", autouse=True)
def small_bank():
    """A bank of full variety but fewer pieces, for speed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bank, "_TARGETS", 150)
        patch.setattr(bank, "_SURFACES", 12)
        patch.setattr(bank, "_PICTURES", 20)
        patch.setattr(bank, "_VEHICLE_FRONTS", 8)
        yield


@pytest.fixture(scope="module")
def synthesiser() -> FrameSynthesiser:
    return FrameSynthesiser(seed=5, frame_size=FRAME_SIZE)


@pytest.fixture(scope="module")
def samples(synthesiser: FrameSynthesiser) -> list[SynthesisedFrame]:
    return [synthesiser(index) for index in range(400)]


@pytest.fixture(scope="module")
def quads(samples: list[SynthesisedFrame]) -> list[np.ndarray]:
    return [sample.corners for sample in samples if sample.corners is not None]


def same(one: SynthesisedFrame, other: SynthesisedFrame) -> bool:
    return (
        np.array_equal(one.frame, other.frame)
        and one.kind == other.kind
        and (one.corners is None) == (other.corners is None)
        and (one.corners is None or np.array_equal(one.corners, other.corners))
    )


def test_a_sample_does_not_depend_on_what_was_drawn_before(samples: list[SynthesisedFrame]):
    fresh = FrameSynthesiser(seed=5, frame_size=FRAME_SIZE)
    for index in (57, 3, 0, 3):
        assert same(fresh(index), samples[index])


def test_a_pickled_synthesiser_is_small_and_draws_the_same(
    synthesiser: FrameSynthesiser, samples: list[SynthesisedFrame]
):
    pickled = pickle.dumps(synthesiser)
    assert len(pickled) < 10_000
    assert same(pickle.loads(pickled)(11), samples[11])


def test_other_seeds_and_other_indices_give_other_frames(samples: list[SynthesisedFrame]):
    assert len({sample.frame.tobytes() for sample in samples}) == len(samples)
    other = FrameSynthesiser(seed=6, frame_size=FRAME_SIZE)
    assert not any(same(other(index), samples[index]) for index in range(10))


def test_frames_have_the_size_asked_for():
    for size in ((64, 64), (200, 300), (1100, 70)):
        sample = FrameSynthesiser(frame_size=size, empty_fraction=0.0)(1)
        assert sample.frame.shape == (size[1], size[0], 3)
        assert sample.frame.dtype == np.uint8


def test_corners_are_valid_upright_and_mostly_in_the_frame(quads: list[np.ndarray]):
    for corners in quads:
        assert corners.shape == (4, 2)
        assert corners.dtype == np.float64
        assert is_valid_quadrilateral(corners)
        assert abs(rotation_deg(corners)) <= MAX_ROTATION_DEG
        # Counted on a larger canvas, not with the function that the poses use.
        canvas = np.zeros((3 * FRAME_SIZE[1], 3 * FRAME_SIZE[0]), np.uint8)
        cv2.fillPoly(canvas, [np.round(corners + FRAME_SIZE).astype(np.int32)], (1,))
        inside = canvas[FRAME_SIZE[1] : 2 * FRAME_SIZE[1], FRAME_SIZE[0] : 2 * FRAME_SIZE[0]]
        assert inside.sum() >= (MIN_VISIBLE - 0.02) * canvas.sum()


def test_poses_reach_the_promised_ranges(quads: list[np.ndarray]):
    extents = np.array([(np.ptp(corners, axis=0) / FRAME_SIZE).max() for corners in quads])
    assert extents.min() < 0.36
    assert extents.max() > 0.9
    assert extents.min() >= 0.29
    assert extents.max() <= 0.96
    turns = np.array([rotation_deg(corners) for corners in quads])
    assert turns.min() < -33
    assert turns.max() > 33
    cut = [((corners < -0.5) | (corners > np.array(FRAME_SIZE) - 0.5)).any() for corners in quads]
    assert 0.03 < np.mean(cut) < 0.3


@pytest.mark.parametrize("aspect", [0.2, 1.0, 5.0], ids=["tall", "square", "wide"])
def test_poses_keep_the_aspect_of_the_target(aspect: float):
    rng = np.random.default_rng(0)
    seen = []
    for _ in range(60):
        corners = draw_pose(rng, aspect, FRAME_SIZE)
        top, right, bottom, left = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
        seen.append((top + bottom) / (left + right))
    assert np.median(seen) == pytest.approx(aspect, rel=0.25)


def test_targets_are_of_every_kind(samples: list[SynthesisedFrame]):
    assert {sample.kind for sample in samples} == {*TARGET_KINDS, "empty"}


def test_targets_are_from_five_times_as_tall_to_five_times_as_wide():
    rng = np.random.default_rng(1)
    pictures = [np.full((60, 80, 3), 90, np.uint8)]
    aspects = [draw_target(rng, pictures).aspect for _ in range(250)]
    assert 0.2 <= min(aspects) < 0.27
    assert 4.3 < max(aspects) <= 5.0


def test_the_share_of_empty_frames_is_the_one_asked_for(samples: list[SynthesisedFrame]):
    share = np.mean([sample.corners is None for sample in samples])
    assert 0.06 < share < 0.14
    assert all((sample.corners is None) == (sample.kind == "empty") for sample in samples)
    assert FrameSynthesiser(empty_fraction=1.0)(0).corners is None


def test_the_label_is_where_the_target_is_in_whole_frames(monkeypatch: pytest.MonkeyPatch):
    """With plain magenta targets the frame is magenta inside the labelled quadrilateral, and not outside."""
    from stn_rectify.models.synthesis import synthesiser as module

    monkeypatch.setattr(module, "varied", lambda rng, image: np.full_like(image, MAGENTA))
    monkeypatch.setattr(module, "camouflaged", lambda rng, texture, scene, corners: texture)
    monkeypatch.setattr(module, "draw_occluder", lambda rng, frame, corners: None)
    monkeypatch.setattr(module, "take_photograph", lambda rng, scene, noise: scene)
    draw = FrameSynthesiser(seed=2, frame_size=FRAME_SIZE, empty_fraction=0.0)
    overlaps = []
    for sample in map(draw, range(45)):
        if sample.kind == "grid":  # its paper is magenta, too
            continue
        seen = (np.abs(sample.frame.astype(int) - MAGENTA).max(axis=2) < 40).astype(np.uint8)
        labelled = np.zeros(seen.shape, np.uint8)
        cv2.fillPoly(labelled, [np.round(sample.corners).astype(np.int32)], (1,))
        overlaps.append((seen & labelled).sum() / (seen | labelled).sum())
    assert np.median(overlaps) > 0.95
    assert min(overlaps) > 0.7


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs" / "nested"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    cv2.imwrite(str(folder / "noise.png"), rng.integers(0, 255, (150, 500, 3), dtype=np.uint8))
    cv2.imwrite(str(folder / "plain.JPG"), np.full((90, 60, 3), 77, np.uint8))
    (folder / "notes.txt").write_text("not a picture")
    return folder.parent


def test_photographs_change_the_frames_and_are_found_recursively(photographs: Path):
    draw, again, without = (FrameSynthesiser(seed=5, backgrounds=folder) for folder in (photographs, photographs, None))
    with_them = [draw(index) for index in range(6)]
    assert same(with_them[0], again(0))
    assert not all(same(frame, without(index)) for index, frame in enumerate(with_them))


def _missing(folder: Path) -> Path:
    return folder / "nowhere"


def _without_pictures(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def _with_a_broken_picture(folder: Path) -> Path:
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 this is not a JPEG")
    return folder


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        pytest.param(_missing, "nowhere: no such folder", id="missing"),
        pytest.param(_without_pictures, "no image in the folder .*empty", id="without pictures"),
        pytest.param(_with_a_broken_picture, "broken.jpg: not a readable", id="broken picture"),
    ],
)
def test_bad_background_folders_are_named(photographs: Path, prepare: Callable[[Path], Path], message: str):
    folder = prepare(photographs)
    with pytest.raises(DataError, match=message):
        FrameSynthesiser(backgrounds=folder)(0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"seed": -1}, "seed -1: expected 0 or more", id="seed"),
        pytest.param({"frame_size": (320, 20)}, r"\(320, 20\), .*expected sides of 64 pixels or more", id="frame size"),
        pytest.param({"empty_fraction": 1.5}, "empty fraction 1.5: .*a fraction from 0 to 1", id="empty fraction"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, object], message: str):
    with pytest.raises(DataError, match=message):
        FrameSynthesiser(**arguments)


def test_a_negative_index_is_refused(synthesiser: FrameSynthesiser):
    with pytest.raises(DataError, match="-1"):
        synthesiser(-1)


def test_importing_the_synthesis_needs_no_tensorflow():
    code = "import sys, stn_rectify.models.synthesis; print(sorted({'keras', 'tensorflow'} & set(sys.modules)))"
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    folder = tmp_path / "labels"
    folder.mkdir()
    picture = np.full((100, 200, 3), (0, 0, 255), np.uint8)
    picture[:, :40] = (255, 0, 0)  # blue at the left
    cv2.imwrite(str(folder / "label.png"), picture)
    return folder


def test_own_targets_are_what_the_frames_show(labels: Path):
    draw = FrameSynthesiser(seed=5, targets=labels, empty_fraction=0.0)
    left_is_bluer = 0
    for index in range(8):
        sample = draw(index)
        assert sample.kind == "own"
        to_frame = cv2.getPerspectiveTransform(
            np.array([[0, 0], [100, 0], [100, 50], [0, 50]], np.float32), sample.corners.astype(np.float32)
        )
        upright = cv2.warpPerspective(sample.frame, to_frame, (100, 50), flags=cv2.WARP_INVERSE_MAP).astype(float)
        blueness = upright[..., 0] - upright[..., 2]
        left_is_bluer += blueness[5:45, 3:17].mean() > blueness[5:45, 30:95].mean() + 20
    assert left_is_bluer >= 7  # one may be covered


def test_a_narrow_target_is_refused(labels: Path):
    cv2.imwrite(str(labels / "strip.png"), np.zeros((10, 90, 3), np.uint8))
    with pytest.raises(DataError, match=r"strip.png: 90x10 is too narrow"):
        FrameSynthesiser(targets=labels)(0)


def test_a_missing_folder_of_targets_is_named(tmp_path: Path):
    with pytest.raises(DataError, match="--targets takes a folder"):
        FrameSynthesiser(targets=tmp_path / "nowhere")
