"""`stn-train --prune`: its options, and what they ask for."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from stn_rectify.models.files import check_refine_name, is_refine_file
from stn_rectify.runtime.command.parsing import whole_number
from stn_rectify.runtime.errors import UsageError

if TYPE_CHECKING:
    from stn_rectify.models.pruning import PruningCourse

__all__ = ["add_pruning_options", "pruning_course"]


def add_pruning_options(parser: argparse.ArgumentParser) -> None:
    """Adds the argument group."""
    group = parser.add_argument_group("pruning")
    group.add_argument(
        "--prune",
        type=_fraction,
        metavar="FRACTION",
        help="remove channels of MODEL.keras until this share of the multiply-accumulates (MACs) of its localization "
        "network is gone, then fine-tune (by default 12000 samples, 8 epochs, learning rate 0.001)",
    )
    group.add_argument(
        "--prune-steps",
        type=whole_number(1),
        metavar="N",
        help="prune and tune in N turns that share the epochs (default 1)",
    )
    group.add_argument(
        "--importance",
        choices=("taylor", "batch-norm"),
        help="what channels are ranked by: change of the loss without them (default), or scale of batch normalization",
    )


def pruning_course(args: argparse.Namespace, course: dict[str, Any]) -> PruningCourse:
    """The course that the options ask for.

    Args:
        args: of the parser.
        course: arguments of every course of training.

    Raises:
        UsageError: they do not go together.
    """
    from stn_rectify.models.pruning import PruningCourse
    from stn_rectify.runtime.rectifying.crops import REFINE_MARGIN

    refines = is_refine_file(args.model)
    check_refine_name(args.out, refines=refines)
    given = {"importance": args.importance, "steps": args.prune_steps}
    found = PruningCourse(
        **course,
        **{name: value for name, value in given.items() if value is not None},
        fraction=args.prune,
        refine_margin=REFINE_MARGIN if refines else None,
    )
    if found.epochs < found.steps:
        raise UsageError(f"--prune-steps {found.steps} share {found.epochs} epochs: give more --epochs or fewer steps")
    return found


def _fraction(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and below 1")
    return number
