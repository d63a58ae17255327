"""The words of `stn-train`: subcommands, their options, and how old spellings are answered."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict
from pathlib import Path

import pytest

from stn_rectify.models.command.cli import parse_options
from stn_rectify.models.command.shared_options import CourseOptions, EvaluationOptions
from stn_rectify.models.command.subcommand import print_accuracies
from stn_rectify.models.command.subcommands.dense import Dense
from stn_rectify.models.command.subcommands.evaluate import Evaluate
from stn_rectify.models.command.subcommands.pose import Pose
from stn_rectify.models.command.subcommands.prune import Prune
from stn_rectify.models.command.subcommands.reader import Reader
from stn_rectify.models.command.subcommands.recognizer import Recognizer
from stn_rectify.models.command.subcommands.tune import Tune
from stn_rectify.models.command.subcommands.turn import Turn
from stn_rectify.models.pruning import PruningCourse
from stn_rectify.models.quantization import FineTuning
from stn_rectify.models.recognition.recognizer_training import RecognizerCourse
from stn_rectify.models.training.pose_training import TrainingRecipe
from stn_rectify.runtime.errors import DataError
from tests.models.command.test_training_command import exit_status


@pytest.mark.parametrize(
    ("words", "subcommand"),
    [
        ("--out a.keras --epochs 3", "stn-train pose --out"),
        ("--refine --out=a.refine.keras", "stn-train pose --out"),
        ("--supervision recognizer --data x --out a.keras", "stn-train recognizer --data"),
        ("--prune 0.5 a.keras --out b.keras", "stn-train prune labels.keras --fraction"),
        ("a.keras --prune=0.5 --out b.keras", "stn-train prune labels.keras --fraction"),
        ("--quantize-aware a.keras --out b.keras", "stn-train tune labels.keras --out"),
        ("--evaluate a.keras --hold-out 5", "stn-train evaluate labels.keras"),
    ],
)
def test_a_command_line_without_a_subcommand_is_told_which_one_to_use(capsys, words, subcommand):
    assert exit_status(words.split()) == 2
    error = capsys.readouterr().err
    assert subcommand in error
    assert error.count("\n") == 1


def test_help_lists_the_subcommands_with_examples_that_are_right(capsys):
    assert exit_status(["--help"]) == 0
    overview = capsys.readouterr().out
    assert {type(parse_options(line.split()[1:])) for line in _examples(overview)} == {
        Pose,
        Dense,
        Recognizer,
        Prune,
        Reader,
        Turn,
        Tune,
        Evaluate,
    }
    assert exit_status(["pose", "--help"]) == 0
    of_pose = capsys.readouterr().out
    assert "--scan" in of_pose
    assert not {"--fraction", "--importance", "--data", "--supervision"} & set(of_pose.split())


def _examples(help_text):
    return [line for line in help_text.splitlines() if line.startswith("  stn-train ")]


def test_options_left_out_are_the_defaults_of_the_trainings():
    pose, prune, tune = (
        parse_options(words.split())
        for words in ("pose --out a.keras", "prune a.keras --fraction 0.5 --out b.keras", "tune a.keras --out b.keras")
    )
    recipe = TrainingRecipe(**pose.course_arguments(), **asdict(pose.network))
    assert recipe == TrainingRecipe()
    assert (pose.localization.body, pose.localization.localization) == (recipe.body, recipe.localization)
    steps, importance = prune.pruning.steps, prune.pruning.importance
    assert PruningCourse(**prune.course_arguments(), steps=steps, importance=importance) == PruningCourse()
    assert FineTuning(**tune.course_arguments()) == FineTuning()
    recognizer = parse_options(["recognizer", "--data", "x", "--out", "a.keras"])
    course = RecognizerCourse()
    assert recognizer.course == CourseOptions(
        epochs=course.epochs, batch_size=course.batch_size, learning_rate=course.learning_rate
    )
    assert (recognizer.network.transform, recognizer.network.input_shape) == (course.transform, course.input_shape)
    assert (recognizer.teaching.supervision, recognizer.teaching.pose_warm_up) == ("recognizer", course.pose_warm_up)


def test_words_become_values_of_the_groups_they_belong_to(tmp_path):
    words = "--out a.keras --input-shape 48x32x1 --localization-shape 24x16 --width 0.5 --epochs 3 --seed 7 --refine"
    pose = parse_options(
        ["pose", *words.split(), "--validate", "x", "--validate", "y", "--sheet", str(tmp_path / "s.png")]
    )
    assert pose.network.input_shape == (48, 32, 1)
    assert pose.network.localization_shape == (24, 16)
    assert pose.course == CourseOptions(epochs=3, batch_size=128, learning_rate=3e-3)
    assert pose.frames.seed == 7
    assert pose.refinement.refine
    assert pose.evaluation == EvaluationOptions(
        validate=(Path("x"), Path("y")), hold_out=1000, sheet=tmp_path / "s.png"
    )
    with pytest.raises(FrozenInstanceError):
        pose.course.epochs = 4


@pytest.mark.parametrize(
    ("end", "status", "printed", "said"),
    [
        (None, 0, "98 %\n", ""),
        (DataError("no disk"), 0, "98 %\nnot tried: no disk\n", ""),
        (KeyboardInterrupt(), 130, "98 %\n", "stn-train turn: stopped; the network is written\n"),
    ],
    ids=["tried", "not all of it", "Ctrl-C"],
)
def test_a_network_that_is_written_is_told_of_whatever_becomes_of_its_trial(capsys, end, status, printed, said):
    def accuracies():
        yield "98 %"
        if end is not None:
            raise end

    assert print_accuracies("turn", accuracies()) == status
    assert capsys.readouterr() == (printed, said)
