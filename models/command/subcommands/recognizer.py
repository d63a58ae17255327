"""``stn-train recognizer``: a network learns through a recognizer behind the sampler, from labelled images."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stn_rectify.models.command.shared_options import (
    SEED,
    CourseOptions,
    NetworkOptions,
    ResultOptions,
    prepare_out,
    sheet_file,
)
from stn_rectify.models.command.subcommand import Subcommand
from stn_rectify.models.digits import DISTORTIONS
from stn_rectify.models.files import RECOGNIZER_SUFFIX, REFINE_SUFFIX
from stn_rectify.runtime.command.parsing.option_groups import OptionGroup, choice, group, option, required
from stn_rectify.runtime.command.parsing.parser import whole_number
from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.process.standard_streams import escaped, say
from stn_rectify.runtime.process.stop_signals import INTERRUPTED

if TYPE_CHECKING:
    import keras

    from stn_rectify.models.recognition.labelled_images import LabelledImages
    from stn_rectify.models.recognition.recognizer_training import RecognizerCourse

_FRAME, _UPRIGHT = (42, 42, 1), (28, 28)  # of the paper's digits
_OTHER_ENDINGS = (REFINE_SUFFIX, RECOGNIZER_SUFFIX)


def _distortions(text: str) -> tuple[str, ...]:
    if text == "none":
        return ()
    names = tuple(text.split(","))
    wrong = [name for name in names if name not in DISTORTIONS]
    if wrong or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"{text!r} is neither 'none' nor some of {','.join(DISTORTIONS)}")
    return names


@dataclass(frozen=True, kw_only=True)
class ImageOptions(OptionGroup):
    """The labelled images."""

    data: Path = required("labelled images, DIR/LABEL/IMAGE, or MNIST's idx files, plain or .gz", Path, metavar="DIR")
    samples: int | None = option(None, "how many to train on (default: all not held out)", whole_number(1), metavar="N")
    hold_out: int = option(
        1000, "the last images, for the errors that are printed (default %(default)s)", whole_number(0), metavar="N"
    )
    negatives: Path | None = option(
        None,
        "folder of photographs that show nothing to recognize, which the recognizer then gets a class for",
        Path,
        metavar="DIR",
    )
    sheet: Path | None = option(
        None, "verification sheet of these (default: NAME.sheet.png beside --out)", sheet_file, metavar="FILE.png"
    )


@dataclass(frozen=True, kw_only=True)
class SupervisionOptions(OptionGroup):
    """The supervision of the localization network."""

    supervision: str = choice(
        ("recognizer", "both"), "the recognizer's loss teaches, or the distortions' known poses, too"
    )
    distortions: tuple[str, ...] | None = option(
        None,
        "draw each image anew in each epoch under these distortions of the Spatial Transformer paper, or 'none' "
        "(default: all for idx files, none for folders, whose images are then the frames)",
        _distortions,
        metavar=",".join(DISTORTIONS),
    )
    pose_warm_up: int = option(
        0,
        "epochs at the start in which the distortions' known poses teach, too (default %(default)s)",
        whole_number(0),
        metavar="N",
    )


@dataclass(frozen=True, kw_only=True)
class Recognizer(Subcommand):
    """Train a network and the recognizer behind it on labelled images."""

    name = "recognizer"
    examples = ("--data MNIST/ --out digits.keras",)

    result: ResultOptions = group()
    images: ImageOptions = group("images")
    teaching: SupervisionOptions = group("supervision")
    network: NetworkOptions = group("network", input_shape=_FRAME, transform="affine")
    course: CourseOptions = group("training", epochs=30)
    seed: int = option(0, "of all random numbers (default %(default)s)", SEED, metavar="N")

    def run(self) -> int:
        """Trains, writes the models and prints the errors of the held-out images."""
        from stn_rectify.models.network.cost import stn_cost
        from stn_rectify.models.recognition.held_out_sheet import save_held_out_sheet
        from stn_rectify.models.recognition.recognizer_training import train_through_recognizer
        from stn_rectify.models.synthesis.material.photographs import find_photographs

        out = self.result.out
        if out.name.endswith(_OTHER_ENDINGS):
            endings = " and ".join(_OTHER_ENDINGS)
            raise UsageError(f"--out {out}: {endings} are other networks' endings: give another --out")
        recipe, train, held_out = self._recipe()
        for file in (out, out.with_suffix(".stn.keras"), out.with_suffix(RECOGNIZER_SUFFIX)):
            prepare_out(file, overwrite=self.result.overwrite)
        print(stn_cost(recipe.model(len(train.names))), flush=True)
        negatives = find_photographs(self.images.negatives, "--negatives")
        model = train_through_recognizer(recipe, train, out, negatives)
        name = out.stem
        print(
            escaped(f"wrote {out}, its halves {name}.stn.keras and {name}{RECOGNIZER_SUFFIX}, frames, labels and curve")
        )
        try:
            print(_error_table(model, recipe, held_out), flush=True)
            if len(held_out):
                sheet = self.images.sheet or out.with_suffix(".sheet.png")
                save_held_out_sheet(model, recipe, held_out, sheet)
                print(escaped(f"wrote {sheet.name}"), flush=True)
        except KeyboardInterrupt:  # nothing is left to go on with
            say(f"stn-train {self.name}: stopped; the model is there, the errors of the held-out images are not")
            return INTERRUPTED
        return 0

    def _recipe(self) -> tuple[RecognizerCourse, LabelledImages, LabelledImages]:
        """The course, the images to train on, and the last ones, which are held out; images uint8 [N, h, w, C].

        The course's frames are H×W×C; without distortions the images are the frames, with them two thirds as large.
        """
        from stn_rectify.models.recognition.labelled_images import read_labelled_images
        from stn_rectify.models.recognition.recognizer_training import RecognizerCourse

        folder, network, course = self.images.data, self.network, self.course
        shape, teaching = network.input_shape, self.teaching
        is_idx = folder.is_dir() and any(f.name.startswith("train-images") for f in folder.iterdir())
        distortions = teaching.distortions if teaching.distortions is not None else DISTORTIONS if is_idx else ()
        if not distortions and (teaching.supervision == "both" or teaching.pose_warm_up):
            raise UsageError("poses are known of --distortions only: give some, or --supervision recognizer")
        # Images that will be distorted leave room around what shall be seen of them; others fill the frame.
        size = (2 * shape[0] // 3, 2 * shape[1] // 3) if distortions else shape[:2]
        data = read_labelled_images(folder, size, shape[2])
        if not distortions and data.images.shape[1:] != shape:  # idx files keep their size
            held = "x".join(map(str, data.images.shape[1:]))
            raise UsageError(f"{folder} holds images of {held}: give --input-shape {held}, or --distortions")
        available = len(data) - self.images.hold_out
        samples = available if self.images.samples is None else min(self.images.samples, available)
        if samples < course.batch_size:
            raise UsageError(
                f"{folder}: {len(data)} images, {self.images.hold_out} of them held out, leave {max(samples, 0)} "
                f"to train on, less than one batch of {course.batch_size}: give a smaller --hold-out or --batch-size"
            )
        train = data[:samples]
        recipe = RecognizerCourse(
            samples=samples,
            **asdict(course),
            seed=self.seed,
            input_shape=shape,
            transform=network.transform,
            output_shape=network.output_shape or (_UPRIGHT if shape == _FRAME else shape[:2]),
            localization_shape=network.localization_shape,
            padding=network.padding,
            width=network.width,
            supervision=teaching.supervision,
            pose_warm_up=teaching.pose_warm_up,
            distortions=distortions,
            data=train.digest,
        )
        return recipe, train, data[available:]


def _error_table(model: keras.Model, recipe: RecognizerCourse, held_out: LabelledImages) -> str:
    from stn_rectify.models.recognition.recognizer_training import hold_out_error

    if not len(held_out):
        return "no images were held out"
    lines = [f"error on {len(held_out)} held-out images"]
    for kind in recipe.distortions or ("as they are",):
        error = hold_out_error(model, recipe, held_out, (kind,) if recipe.distortions else ())
        lines.append(f"{kind:<12}{100 * error:>7.2f} %")
    return "\n".join(lines)
