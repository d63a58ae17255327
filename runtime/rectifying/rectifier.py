"""Makes the target in a frame upright: the runtime's main class."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from os import PathLike
from typing import Any, Literal

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.checks import check_flag, check_instance, check_whole
from stn_rectify.runtime.clock import milliseconds_since
from stn_rectify.runtime.closing import Closing
from stn_rectify.runtime.errors import StnRectifyError
from stn_rectify.runtime.geometry import identity_theta
from stn_rectify.runtime.images.given import ImageLike
from stn_rectify.runtime.model.interpreter import InterpreterPackage
from stn_rectify.runtime.model.limits import ModelLimits
from stn_rectify.runtime.model.metadata import MAX_MARGIN
from stn_rectify.runtime.model.model_file import ModelFile
from stn_rectify.runtime.model.trial import open_tried
from stn_rectify.runtime.process.sharing import NotCopied, OneAtATime
from stn_rectify.runtime.rectifying.arguments import (
    DEFAULT_TARGETS,
    check_margin,
    check_output,
    check_refine,
    check_scan,
    check_takes_boxes,
    check_takes_corners,
    check_upright,
    checked_size,
    given_frame,
    given_pose,
    pixels_read,
)
from stn_rectify.runtime.rectifying.locator import Locator, nowhere
from stn_rectify.runtime.rectifying.pixels.frame_sampler import FrameSampler, with_aspect
from stn_rectify.runtime.rectifying.pixels.preprocess import Preprocessor
from stn_rectify.runtime.rectifying.searching.boxes import box_starts
from stn_rectify.runtime.rectifying.streaming import rectified_frames
from stn_rectify.runtime.results import Location, MissRule, Rectification
from stn_rectify.runtime.sources import CapturedFrame

#: What a `Rectification` takes over from its `Location` as it is.
_KEPT = ("label", "label_score", "class_scores", "turn", "turn_score", "track", "box", "rule", "frame")


class Rectifier(Closing, NotCopied):
    """A model, ready to rectify frames.

    Threads may share one: they take turns. To rectify in parallel give each thread, or process, one of its own. A
    forked child may use its parent's; it cannot be pickled.

    Args:
        model: path of a model file, or the name of a bundled one; None for the default, ``"general"``.
        threads: threads that the network computes with, 1 or more; at most one for each core, with a
            `StnRectifyWarning` where more are asked for. More than one gains little for a network this small, and loses
            much when other programs want the cores.
        output: where the pixels of the rectified image come from. ``"frame"``: the full-resolution frame,
            warped by OpenCV. ``"model"``: the graph itself, at the network's resolution (not with pose-only
            files).
        output_size: width and height of the rectified image, pixels, with ``output="frame"``; a side of 0 follows from
            the other by the target's aspect. None for the target's own size in the frame, which keeps its resolution
            and aspect and differs from frame to frame.
        refine: refinement passes after the first look at the frame, each a look at the target as rectified so far
            (`stn_rectify.runtime.rectifying.refining.refinement`). None for what the model file says, and up to three
            more while what it has found still moves; 0 for none, as always with files of one network and with
            ``output="model"``, whose pixels the graph has taken before.
        scan: how closely a dense file's network looks at the frame: ``"full"`` at up to 320 pixels along the longer
            side; ``"fast"`` at up to 160, for large targets and a quarter of the work; ``"fine"`` at every level of the
            file, for the smallest ones. Files of one look know no difference.
        margin: what the rectified image shows beyond each edge of the target, as a share of the target's side, from 0;
            0.1 for a tenth more on the left, and so on. Corners stay those of the target. Not with ``output="model"``.
        upright: ``"auto"``: a target that stands on its side or head is turned where the file's turn network is sure
            (`stn_rectify.runtime.rectifying.refining.turning`); ``"off"``: corners stay in the order in which they were
            found, as always with files without such a network and with ``output="model"``.
        limits: how much the file may unpack to; None for the default ones.
        blocking: whether a thread waits while another one uses the rectifier; False for a `UsageError` instead.

    Raises:
        ModelFileError: if the model file is missing, damaged or not all-integer.
        UsageError: if the options do not fit together or the model.
        StnRectifyError: if no interpreter works in this environment.

    Example:
        >>> with Rectifier() as rectifier:  # doctest: +SKIP
        ...     result = rectifier.rectify(frame)
        ...     if result.score > 0.5:
        ...         cv2.imwrite("upright.png", result.image)
    """

    def __init__(
        self,
        model: str | PathLike[str] | None = None,
        *,
        threads: int = 1,
        output: Literal["frame", "model"] = "frame",
        output_size: tuple[int, int] | None = None,
        refine: int | None = None,
        scan: Literal["fast", "full", "fine"] = "full",
        margin: float = 0.0,
        upright: Literal["auto", "off"] = "auto",
        limits: ModelLimits | None = None,
        blocking: bool = True,
    ) -> None:
        threads, blocking = check_whole("threads", threads, 1), check_flag("blocking", blocking)
        self._scan, self._upright = check_scan(scan), check_upright(upright)
        self._model = ModelFile.open(model, limits=limits)
        size = check_output(output, output_size, self._model)
        self._output = output
        self._passes, further = check_refine(refine, output, self._model)
        self._preprocessor = Preprocessor(self._model.metadata.input)
        self._margin = check_margin(margin, output, self._model)
        self._sampler = FrameSampler(size, self._model.metadata.padding, self._preprocessor.zero_pixel, self._margin)
        interpreter = open_tried(
            self._model.flatbuffer,
            noun="model",
            path=self._model.path,
            threads=threads,
            limits=limits,
            is_trusted=self._model.is_bundled,
        )
        self._package, self._threads = interpreter.package, interpreter.threads
        locator = Locator(
            self._model,
            interpreter,
            self._preprocessor,
            passes=self._passes,
            further=further,
            takes_image=output == "model",
            scan=self._scan,
            turns=self.turns,
        )
        self._use = OneAtATime("Rectifier", locator, blocking=blocking)
        metadata = self._model.metadata
        self._rule = MissRule().with_default(None if metadata.score is None else metadata.min_score)

    @property
    def model(self) -> ModelFile:
        """The model file."""
        return self._model

    @property
    def package(self) -> InterpreterPackage:
        """The interpreter's package; its `str` says name and version."""
        return self._package

    @property
    def threads(self) -> int:
        """Threads that the network computes with."""
        return self._threads

    @property
    def refine(self) -> int:
        """Refinement passes that each target gets, as far as its pose allows; some get more, see the class."""
        return self._passes

    @property
    def scan(self) -> Literal["fast", "full", "fine"]:
        """How closely a dense file's network looks at the frame."""
        return self._scan

    @property
    def upright(self) -> Literal["auto", "off"]:
        """What becomes of targets that stand on their side or head."""
        return self._upright

    @property
    def turns(self) -> bool:
        """Tells whether targets are turned: by ``upright``, the model's file and where images come from."""
        return self._upright == "auto" and self._model.metadata.turn is not None and self._output == "frame"

    @property
    def margin(self) -> float:
        """What the rectified image shows beyond each edge of the target, as a share of the target's side."""
        return self._margin

    def set_margin(self, margin: float) -> None:
        """Shows more, or less, around the targets, from the next image on.

        Args:
            margin: as of the class.

        Raises:
            UsageError: if it is out of range, or the model, or ``output``, allows none; then it stays as it was.
        """
        self._margin = check_margin(margin, self._output, self._model)
        self._sampler = replace(self._sampler, margin=self._margin)

    def rectify(self, frame: ImageLike, *, boxes: object = None) -> Rectification:
        """Finds the target in a frame and makes it upright: `locate`, then `sample`.

        Args:
            frame: BGR uint8 [H, W, 3] as OpenCV gives it, or grey [H, W]; any size. Or an image: the path of a file,
                its bytes, an open file or a Pillow image, upright as its EXIF orientation says. It is not changed.
            boxes: where to look for it, see `locate_all`.

        Returns:
            The rectified image, where it was in the frame, and how sure the model is; of several targets the one
            that stands out. All arrays are new. Of an image that is no array ``frame`` holds its pixels.

        Raises:
            DataError: if the frame, or boxes, have the wrong type, dtype or shape.
            SourceError: if an image cannot be read.
            UsageError: if this object is closed, there are boxes that it cannot refine, or with ``blocking=False``
                another thread is using it.
        """
        location = self.locate(frame, boxes=boxes)
        return self.sample(pixels_read(frame, location), location)

    def rectify_all(
        self, frame: ImageLike, max_targets: int | None = None, *, boxes: object = None
    ) -> list[Rectification]:
        """Finds the targets in a frame and makes each upright: `locate_all`, then `sample`.

        Args:
            frame: as `rectify` takes it.
            max_targets: how many at most, see `locate_all`.
            boxes: where to look for them, see `locate_all`.

        Returns:
            As `rectify` gives it for each target, best first. The latencies are those of the look that found all of
            them, and of each one's image.

        Raises:
            DataError: if the frame, or boxes, have the wrong type, dtype or shape.
            SourceError: if an image cannot be read.
            UsageError: as `locate_all` raises it.
        """
        locations = self.locate_all(frame, max_targets, boxes=boxes)
        return [self.sample(pixels_read(frame, location), location) for location in locations]

    def locate(self, frame: ImageLike, *, boxes: object = None, turned: bool = True) -> Location:
        """Finds the target in a frame, without making it upright.

        Args:
            frame: as `rectify` takes it.
            boxes: where to look for it, see `locate_all`.
            turned: False leaves corners in the order in which they were found; `turn_upright` turns them later.

        Returns:
            Where it is, of several targets the one that stands out, and how sure the model is. All arrays are new.

        Raises:
            DataError: if the frame, or boxes, have the wrong type, dtype or shape.
            SourceError: if an image cannot be read.
            UsageError: if this object is closed, there are boxes that it cannot refine, or with ``blocking=False``
                another thread is using it.
        """
        checked, captured = given_frame(frame, self._model.metadata.input)
        if boxes is None:
            with self._use.turn() as locator:
                return self._told(locator.locate(checked, turned=check_flag("turned", turned)), captured)
        best = self.locate_all(checked, 1, boxes=boxes, turned=turned)
        return replace(best[0] if best else self._told(nowhere(checked)), frame=captured)

    def locate_all(
        self, frame: ImageLike, max_targets: int | None = None, *, boxes: object = None, turned: bool = True
    ) -> list[Location]:
        """Finds the targets in a frame, without making them upright.

        A file of one look (`ModelFile.metadata.kind` is not ``"dense"``) finds one at most; with boxes one in each.

        Args:
            frame: as `rectify` takes it.
            max_targets: how many at most, 1 or more. None for 8, or with boxes for as many as there are boxes.
            boxes: where to look, instead of scanning the frame: what another detector has found. Numbers [N, 4], x0,
                y0, x1, y1 in frame pixels, 0 and the frame's width its edges: each encloses a target, tightly or up to
                twice as large. Or [N, 4, 2], roughly the corners TL, TR, BR, BL of upright targets in the coordinates
                of `Location`. Or an object whose ``xyxy`` is the former: Detections of supervision, Boxes of
                ultralytics. What lies outside the frame is skipped. The score is then the refine network's alone.
            turned: as of `locate`.

        Returns:
            Best first, each with a usable pose; empty if there is none. With boxes `Location.box` says which one of
            them. All arrays are new.

        Raises:
            DataError: if the frame, or boxes, have the wrong type, dtype or shape; if a box is not finite or has its
                corners in another order.
            SourceError: if an image cannot be read.
            UsageError: if ``max_targets`` is no whole number from 1; if there are boxes, and nothing to refine them
                with; if this object is closed, or with ``blocking=False`` another thread is using it.
        """
        count = None if max_targets is None else check_whole("max_targets", max_targets, 1)
        turned = check_flag("turned", turned)
        checked, captured = given_frame(frame, self._model.metadata.input)
        with self._use.turn() as locator:
            if boxes is None:
                found = locator.locate_all(checked, DEFAULT_TARGETS if count is None else count, turned=turned)
            else:
                check_takes_boxes(self._passes, self._output, self._model)
                starts = box_starts(boxes, (checked.shape[1], checked.shape[0]))
                found = locator.locate_in(checked, starts, turned=turned)[:count]
            return [self._told(location, captured) for location in found]

    def turn_upright(self, frame: ImageLike, location: Location) -> Location:
        """Says which side of a target is up, and turns it where that is sure, as `locate` does by itself.

        Args:
            frame: what `locate` got.
            location: what it gave with ``turned=False``.

        Returns:
            The location with its corners in the order of the upright target, ``turn`` and ``turn_score``; as it was
            where `turns` is False, or it has no usable pose.

        Raises:
            DataError: if the frame has the wrong type, dtype or shape.
            UsageError: if ``location`` is none; if this object is closed, or with ``blocking=False`` another thread is
                using it.
        """
        check_instance("location", location, Location, "what Rectifier.locate gave")
        checked, _ = given_frame(frame, self._model.metadata.input)
        with self._use.turn() as locator:
            return locator.turn(checked, location)

    def stream(
        self,
        source: object,
        *,
        on_error: Callable[[StnRectifyError], None] | None = None,
        **options: Any,
    ) -> Iterator[Rectification]:
        """Rectifies the frames of a source one after the other, as they come.

        Args:
            source: what the command line takes: a file, folder or glob of images, a video, an address, the number or
                device of a camera, ``"picamera2"``, ``"demo"``, ``"-"`` for images through standard input; several of
                them in a list; or an open `FrameSource`, which stays open. See `open_source`.
            on_error: is told of each image of several, and each video, that cannot be read or rectified, and the
                others go on. None issues a `StnRectifyWarning` instead. Where nothing at all could be rectified the
                last error is raised.
            **options: of `open_source`.

        Yields:
            As `rectify` gives it; ``frame`` is the frame, with its source, number and time. It holds all pixels: take
            what you need of a long stream, rather than a list of all results.

        Raises:
            SourceError: if the source cannot be opened, or is lost.
            DataError: if the frames are none that the model takes.
            UsageError: if ``source`` or an option is something else.

        Example:
            >>> for result in rectifier.stream("photos/"):  # doctest: +SKIP
            ...     result.save(f"upright/{Path(result.frame.source).stem}.png")
        """
        return rectified_frames(self.rectify, source, on_error, options)

    def sample(
        self,
        frame: ImageLike,
        location: Location,
        *,
        corners: FloatArray | None = None,
    ) -> Rectification:
        """Makes the target upright where `locate` found it.

        Args:
            frame: what `locate` got.
            location: what `locate` gave.
            corners: float64 [4, 2], frame pixels: where to take the target from instead, such as smoothed corners; a
                quadrilateral that `is_valid_quadrilateral` passes.

        Returns:
            The result as `rectify` gives it, at ``corners`` if there are any.

        Raises:
            DataError: if the frame has the wrong type, dtype or shape, or the corners are no quadrilateral.
            UsageError: if ``location`` is none; if there are ``corners``, and `check_takes_corners` refuses them.
        """
        started = time.perf_counter()
        check_instance("location", location, Location, "what Rectifier.locate gave")
        checked, captured = given_frame(frame, self._model.metadata.input)
        if captured is not None:
            location = replace(location, frame=captured)
        theta, corners = self._pose(checked, location, corners)
        if theta is None:
            image, corners, homography = self._whole(checked)
            latency_ms = location.latency_ms + milliseconds_since(started)
            return Rectification(image, corners, homography, 0.0, latency_ms, rule=location.rule, frame=location.frame)
        image, homography = self._sampler.rectified(checked, theta, corners, location.image)
        latency_ms = location.latency_ms + milliseconds_since(started)
        told = {name: getattr(location, name) for name in _KEPT}
        return Rectification(image, corners, homography, location.score, latency_ms, **told)

    def sample_at(
        self,
        frame: ImageLike,
        location: Location,
        size: tuple[int, int] | Callable[[tuple[int, int]], tuple[int, int]],
        *,
        corners: FloatArray | None = None,
    ) -> Image:
        """Takes the upright target out of the frame at another size than ``output_size``, as recognizers want it.

        Args:
            frame: what `locate` got.
            location: what `locate` gave.
            size: width and height of the image, pixels, 1 to 16384; a side of 0 follows from the other by the target's
                aspect. Or a function that gives both for width and height of the target in the frame.
            corners: as of `sample`.

        Returns:
            The frame's pixels, uint8 [h, w, 3] BGR or [h, w] grey, a new array; with ``output="model"``, too. The whole
            frame where the pose is not usable.

        Raises:
            DataError: if the frame has the wrong type, dtype or shape, or the corners are no quadrilateral.
            UsageError: if ``location`` is none, or the size is out of range; if there are ``corners``, and
                `check_takes_corners` refuses them.
        """
        check_instance("location", location, Location, "what Rectifier.locate gave")
        checked, _ = given_frame(frame, self._model.metadata.input)
        theta, corners = self._pose(checked, location, corners)
        if theta is None:
            theta = identity_theta("projective")

        def size_of(own: tuple[int, int]) -> tuple[int, int]:
            wanted = checked_size("size", size(own) if callable(size) else size)
            return with_aspect(wanted, own)

        return self._sampler.rectified_at(checked, theta, corners, size_of)

    def check_takes_margin(self) -> None:
        """Checks that images can show something around their targets.

        Raises:
            UsageError: as `set_margin` raises it.
        """
        check_margin(MAX_MARGIN, self._output, self._model)

    def check_takes_corners(self) -> None:
        """Checks that the target can be taken from other corners than the network's.

        Raises:
            UsageError: if images are the graph's own, or of a spline, whose bend four corners do not tell.
        """
        check_takes_corners(self._output, self._model)

    def unrectified(self, frame: ImageLike, result: Rectification | Location) -> Rectification:
        """The whole frame in place of a target that was not sure enough.

        Args:
            frame: what `rectify` or `locate` got.
            result: what it gave.

        Returns:
            As `rectify` gives it where there is no usable pose, but with the score of ``result``: the frame as image,
            at ``output_size`` if there is one; its outer corners; no label.

        Raises:
            DataError: if the frame has the wrong type, dtype or shape.
        """
        started = time.perf_counter()
        checked, captured = given_frame(frame, self._model.metadata.input)
        image, corners, homography = self._whole(checked)
        latency_ms = result.latency_ms + milliseconds_since(started)
        return Rectification(
            image, corners, homography, result.score, latency_ms, rule=result.rule, frame=captured or result.frame
        )

    def close(self) -> None:
        """Lets the model go. Closing twice does no harm.

        Raises:
            UsageError: if another thread is rectifying a frame, and with ``blocking=False`` none waits.
        """
        self._use.close()

    def __repr__(self) -> str:
        metadata = self._model.metadata
        state = ", closed" if self._use.is_closed else ""
        threads = f"{self._threads} thread{'s' if self._threads > 1 else ''}"
        refine = f", refine={self._passes}" if metadata.refine is not None else ""
        refine += f", scan={self._scan!r}" if metadata.dense is not None else ""
        return f"<Rectifier {metadata.name!r}, {metadata.kind}{refine}, on {self._package}, {threads}{state}>"

    def _told(self, location: Location, frame: CapturedFrame | None = None) -> Location:
        """The location with what is known beside it."""
        return replace(location, rule=self._rule, frame=frame)

    def _pose(
        self, frame: Image, location: Location, corners: FloatArray | None
    ) -> tuple[FloatArray | None, FloatArray]:
        """θ and corners of a target: those of its location, or of corners that did not come from the network."""
        if corners is None:
            return location.theta, location.corners
        self.check_takes_corners()
        return given_pose(corners, frame)

    def _whole(self, frame: Image) -> tuple[Image, FloatArray, FloatArray]:
        """Image, corners and homography of the whole frame, with the channels that a rectified image would have."""
        height, width = frame.shape[:2]
        if self._output == "model":
            frame = self._preprocessor.pixels(self._preprocessor.network_input(frame)[0])
        return self._sampler.whole(frame, (width, height))
