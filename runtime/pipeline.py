"""All that is done with a frame between its source and the sinks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.checks import check_flag, check_instance, check_whole
from stn_rectify.runtime.clock import milliseconds_since
from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.images.given import ImageLike
from stn_rectify.runtime.recognition.recognition import ImageRecognizer, Recognized
from stn_rectify.runtime.recognition.stage import RecognitionStage
from stn_rectify.runtime.rectifying.arguments import given_frame
from stn_rectify.runtime.rectifying.locator import nowhere
from stn_rectify.runtime.rectifying.rectifier import Rectifier
from stn_rectify.runtime.rectifying.refining.turning import TurnVote
from stn_rectify.runtime.rectifying.tracking.cuts import CutWatch
from stn_rectify.runtime.rectifying.tracking.following import TargetFollower, unturned
from stn_rectify.runtime.rectifying.tracking.smoothing import CornerSmoother
from stn_rectify.runtime.rectifying.tracking.tracks import TargetTracker
from stn_rectify.runtime.results import Location, MissRule, Rectification
from stn_rectify.runtime.sources import CapturedFrame, FrameView

#: Targets that are looked for in a frame, at most: each costs looks of its own.
MAX_TARGETS = 100


@dataclass(frozen=True, eq=False)
class Processed:
    """A frame and what became of it.

    Attributes:
        frame: as seen through the view; the results' corners are pixels of it.
        result: of rectifying it, and of the stages behind: the best target's, or that of a miss.
        is_skipped: whether it shall not be passed on: it shows no target, and such frames are skipped.
        targets: all targets that are no miss, best first; the first one is `result`. Empty where the frame shows none.
        rule: the rule that told misses from targets, with the model's own lowest score where nobody gave one.
        captured: the frame as the source gave it, before the view; None where nobody says.
        view: what of it was looked at.
    """

    frame: CapturedFrame
    result: Rectification
    is_skipped: bool
    targets: tuple[Rectification, ...] = ()
    rule: MissRule = field(default_factory=MissRule)
    captured: CapturedFrame | None = field(default=None, repr=False)
    view: FrameView = field(default_factory=FrameView)

    @property
    def is_found(self) -> bool:
        """Tells whether the best target counts as found; see `MissRule.is_found`."""
        return self.rule.is_found(self.result)


@dataclass(frozen=True, eq=False)
class _Stages:
    """The stages behind rectification that remember one target."""

    smoother: CornerSmoother | None
    recognition: RecognitionStage | None

    def for_one_track(self) -> _Stages:
        """The same for a target of its own."""
        return _Stages(
            None if self.smoother is None else self.smoother.for_another(),
            None if self.recognition is None else self.recognition.for_one_track(),
        )

    def reset(self) -> None:
        """The next target is another one."""
        if self.smoother is not None:
            self.smoother.reset()
        if self.recognition is not None:
            self.recognition.reset()


class Pipeline:
    """View, rectification, misses, smoothing, recognition: the frames of one source, one after the other.

    Args:
        rectifier: finds the targets.
        max_targets: targets to find in a frame, at most, 1 to 100. One is found as `Rectifier.locate` finds it.
        view: what of each frame is looked at.
        rule: which frames, and which of several targets, are misses; where it has no ``min_score`` the model's file may
            name one. Misses are not recognized. With ``max_targets=1`` smoothing and voting start afresh after one;
            of several targets each keeps its corners and votes as long as it keeps its track.
        smoother: smooths the corners; None for frames that do not follow one another. For several targets each gets one
            of these settings.
        recognizer: reads the rectified image: a `Recognizer`, an object of your own with a method ``recognize``, a
            function, or a name that `load_recognizer` takes, such as ``"rapidocr"``. It gets the image, BGR uint8 [h,
            w, 3] or grey [h, w], and returns a `Recognition`, a str, a (str, score from 0 to 1 or None) or None where
            it reads nothing. In a `RecognitionStage`, with rules, a schedule and a vote, of which each of several
            targets gets its own.
        tracker: numbers the targets (`Rectification.track`); the frames of a track vote on which side is up. None makes
            one where smoothing, ``scan_every`` or the recognizer's schedule or vote needs it, and else gives no
            numbers, as for frames that do not follow one another.
        scan_every: frames from one scan of the whole frame to the next, at most, 1 or more. In between the refine
            network follows the targets where they would be if they moved on as they did; where one of them is lost the
            frame is scanned at once, and new ones are found by the next scan. For frames that follow one another.
        frames_follow: True for the frames of one camera or video: without a ``tracker`` one is made, too, where several
            targets are looked for, or where the model has a turn network, also one that comes later
            (`replace_rectifier`).

    Raises:
        UsageError: if an argument is out of range, or the parts do not fit together.
        StnRectifyError: if a recognizer is named that cannot be opened.

    Example:
        >>> with Rectifier() as rectifier, CameraSource() as camera:  # doctest: +SKIP
        ...     pipeline = Pipeline(rectifier, rule=MissRule(0.5, "skip"), smoother=CornerSmoother())
        ...     for done in map(pipeline.process, camera):
        ...         if not done.is_skipped:
        ...             cv2.imwrite(f"{done.frame.index}.png", done.result.image)

        With a recognizer of your own, here for QR codes:

        >>> def read(image):  # doctest: +SKIP
        ...     return cv2.QRCodeDetector().detectAndDecode(image)[0] or None
        >>> pipeline = Pipeline(rectifier, recognizer=read)
        >>> pipeline.process("photo.jpg").result.label
        'AB12 CD3'

        Several targets, followed:

        >>> pipeline = Pipeline(rectifier, max_targets=4, tracker=TargetTracker())  # doctest: +SKIP
        >>> [(target.track, target.score) for target in pipeline.process(frame).targets]
        [(1, 0.98), (2, 0.91)]
    """

    def __init__(
        self,
        rectifier: Rectifier,
        *,
        max_targets: int = 1,
        view: FrameView | None = None,
        rule: MissRule | None = None,
        smoother: CornerSmoother | None = None,
        recognizer: RecognitionStage | ImageRecognizer | Callable[[Image], Recognized] | str | None = None,
        tracker: TargetTracker | None = None,
        scan_every: int = 1,
        frames_follow: bool = False,
    ) -> None:
        check_instance("rectifier", rectifier, Rectifier, "a Rectifier")
        for name, value, kind in (
            ("view", view, FrameView),
            ("rule", rule, MissRule),
            ("smoother", smoother, CornerSmoother),
            ("tracker", tracker, TargetTracker),
        ):
            check_instance(name, value, kind | None, f"a {kind.__name__} or None")
        scan_every = check_whole("scan_every", scan_every, 1)
        self._max_targets = check_whole("max_targets", max_targets, 1, MAX_TARGETS)
        self._rectifier, self._view, self._asked_rule = rectifier, view or FrameView(), rule or MissRule()
        stage = recognizer if isinstance(recognizer, RecognitionStage | None) else RecognitionStage(recognizer)
        self._stages, self._stages_of_track = _Stages(smoother, stage), dict[int, _Stages]()
        self._turn_votes: dict[int, TurnVote] = {}
        self._cuts = CutWatch()
        needs_tracks = smoother is not None or scan_every != 1 or (stage is not None and stage.follows_targets)
        self._frames_follow = check_flag("frames_follow", frames_follow)
        self._tracker = TargetTracker() if tracker is None and needs_tracks else tracker
        self._tracker = self._tracker_for(rectifier)
        self._follower = (
            TargetFollower(scan_every, self._max_targets, self._tracker)
            if scan_every != 1 and self._tracker is not None
            else None
        )
        self._check(rectifier)
        self._rule = self._rule_for(rectifier)
        self._handed_over = 0

    @property
    def rectifier(self) -> Rectifier:
        """Finds the targets."""
        return self._rectifier

    @property
    def rule(self) -> MissRule:
        """The rule that tells misses from targets, with the model's own lowest score where nobody gave one."""
        return self._rule

    @property
    def asked_rule(self) -> MissRule:
        """The rule as somebody gave it: without a ``min_score`` where that is the model's."""
        return self._asked_rule

    @property
    def smoother(self) -> CornerSmoother | None:
        """Smooths the corners of one target; those of several have copies of it. None where nothing is smoothed."""
        return self._stages.smoother

    @property
    def view(self) -> FrameView:
        """The part of each frame that is looked at, and which way up."""
        return self._view

    @property
    def max_targets(self) -> int:
        """Targets that are looked for in a frame, at most."""
        return self._max_targets

    def replace_rectifier(self, rectifier: Rectifier) -> Rectifier:
        """Takes another one from the next frame on, and its model's lowest score; from the thread that calls `process`.

        Returns:
            The old one, for the caller to close.

        Raises:
            UsageError: if it does not fit the other parts; the old one stays.
        """
        self._check(rectifier)
        self._lose_targets()
        old, self._rectifier = self._rectifier, rectifier
        self._tracker = self._tracker_for(rectifier)
        self._rule = self._rule_for(rectifier)
        return old

    def set_rule(self, rule: MissRule) -> None:
        """Takes another rule from the next frame on; from the thread that calls `process`, as all of these.

        Raises:
            UsageError: if it is none, or names a lowest score and the model gives no score.
        """
        check_instance("rule", rule, MissRule, "a MissRule")
        _check_score(rule, self._rectifier)
        self._asked_rule = rule
        self._rule = self._rule_for(self._rectifier)

    def set_smoother(self, smoother: CornerSmoother | None) -> None:
        """Smooths otherwise, or no longer, from the next frame on. Smoothed targets are numbered, as ever.

        Raises:
            UsageError: if it is no smoother, or images cannot be taken from other corners than the network's.
        """
        check_instance("smoother", smoother, CornerSmoother | None, "a CornerSmoother or None")
        if smoother is not None:
            self._rectifier.check_takes_corners()
            self._tracker = self._tracker or TargetTracker()
        self._stages = replace(self._stages, smoother=smoother)
        for number, stages in self._stages_of_track.items():
            own = None if smoother is None else smoother.for_another()
            self._stages_of_track[number] = replace(stages, smoother=own)

    def set_view(self, view: FrameView) -> None:
        """Looks at another part of each frame from the next one on, where all targets are new.

        Raises:
            UsageError: if it is none.
        """
        check_instance("view", view, FrameView, "a FrameView")
        self._view = view
        self._lose_targets()

    def become(self, other: Pipeline) -> Rectifier:
        """Takes all of another one's parts and settings from the next frame on, and forgets its own targets.

        Whoever holds this pipeline goes on with it; the other one is not to be used any more. Call it from the thread
        that calls `process`.

        Returns:
            The old rectifier, for the caller to close.
        """
        old, tracker = self._rectifier, self._tracker
        self.__dict__.update(other.__dict__)
        if tracker is not None and self._tracker is not None:
            self._tracker.number_after(tracker)
        return old

    def process(self, captured: CapturedFrame | ImageLike) -> Processed:
        """Takes the next frame.

        Args:
            captured: a frame of a `FrameSource`; or what `Rectifier.rectify` takes, an array, path, bytes, open file or
                Pillow image, which is then captured now, numbered from 0 on, and called ``"array"`` if it is one.

        Raises:
            DataError: if the frame has the wrong type, dtype or shape.
            SourceError: if an image cannot be read.
        """
        started = time.perf_counter()
        if not isinstance(captured, CapturedFrame):
            captured = self._captured(captured)
        frame = replace(captured, image=self._view.apply(captured.image))
        locations = self._locate(frame)
        found = [location for location in locations if not self._rule.is_miss(location)][: self._max_targets]
        found = self._numbered(found, frame)
        if not found:
            none = replace(nowhere(frame.image), latency_ms=milliseconds_since(started))
            return self._missed(captured, frame, locations[0] if locations else none)
        targets = [replace(self._finished(frame, found_one), rule=self._rule, frame=frame) for found_one in found]
        if self._max_targets > 1:
            latency_ms = milliseconds_since(started)
            targets = [replace(target, latency_ms=latency_ms) for target in targets]
        return Processed(frame, targets[0], False, tuple(targets), self._rule, captured, self._view)

    def _captured(self, given: ImageLike) -> CapturedFrame:
        """An image that an app hands over, as a frame."""
        pixels, image = given_frame(given, self._rectifier.model.metadata.input)
        number, self._handed_over = self._handed_over, self._handed_over + 1
        return CapturedFrame("array", number, time.time(), pixels) if image is None else replace(image, index=number)

    def _check(self, rectifier: Rectifier) -> None:
        if self._stages.smoother is not None:
            rectifier.check_takes_corners()
        if self._follower is not None:
            self._follower.check(rectifier)
        _check_score(self._asked_rule, rectifier)

    def _tracker_for(self, rectifier: Rectifier) -> TargetTracker | None:
        """The tracker, if one is needed; one that there is goes on, as no number comes twice."""
        needs_tracks = self._frames_follow and (self._max_targets > 1 or rectifier.turns)
        return TargetTracker() if self._tracker is None and needs_tracks else self._tracker

    def _rule_for(self, rectifier: Rectifier) -> MissRule:
        metadata = rectifier.model.metadata
        return self._asked_rule.with_default(None if metadata.score is None else metadata.min_score)

    def _locate(self, frame: CapturedFrame) -> list[Location]:
        """The targets, best first; misses may be among them."""
        if self._follower is not None:
            return self._follower.locate(self._rectifier, frame.image, _seconds(frame), self._rule)
        options = {} if self._tracker is None else unturned(self._rectifier)
        if self._max_targets == 1:
            return [self._rectifier.locate(frame.image, **options)]
        return self._rectifier.locate_all(frame.image, max_targets=self._max_targets, **options)

    def _numbered(self, found: list[Location], frame: CapturedFrame) -> list[Location]:
        """The targets with the numbers of their tracks; the stages of tracks that have ended are forgotten."""
        if self._tracker is None:
            return found
        corners = [location.corners for location in found]
        if self._cuts.is_cut(frame.image, corners):
            self._lose_targets()
        numbers = self._tracker.update(corners, _seconds(frame))
        going_on = self._tracker.numbers
        self._stages_of_track = {n: stages for n, stages in self._stages_of_track.items() if n in going_on}
        self._turn_votes = {n: vote for n, vote in self._turn_votes.items() if n in going_on}
        numbered = [replace(location, track=number) for location, number in zip(found, numbers, strict=True)]
        if self._follower is not None:
            self._follower.remember(numbered)
        return numbered

    def _missed(self, captured: CapturedFrame, frame: CapturedFrame, location: Location) -> Processed:
        if self._max_targets == 1:
            self._stages.reset()
        is_skipped = self._rule.on_miss == "skip"
        # The model's own score throws nothing away: corners and score stay for who knows better.
        is_passed_whole = not is_skipped and self._asked_rule.min_score is not None
        result = (self._rectifier.unrectified if is_passed_whole else self._rectifier.sample)(frame.image, location)
        result = replace(result, rule=self._rule, frame=frame)
        return Processed(frame, result, is_skipped, (), self._rule, captured, self._view)

    def _finished(self, frame: CapturedFrame, location: Location) -> Rectification:
        """One target, made upright, with its label."""
        stages = self._stages_for(location.track)
        if location.track is not None and self._rectifier.turns:
            vote = self._turn_votes.get(location.track, TurnVote())
            if not vote.like(location):  # as after a cut, where another target lies in its place
                vote = TurnVote()
            self._turn_votes[location.track] = vote
            if vote.wants_look and unturned(self._rectifier):
                location = self._rectifier.turn_upright(frame.image, location)
            location = vote.update(location)
        corners = _smooth(stages.smoother, frame, location)
        result = self._rectifier.sample(frame.image, location, corners=corners)
        if stages.recognition is not None:
            result = stages.recognition.process(
                result,
                _seconds(frame),
                lambda size: self._rectifier.sample_at(frame.image, location, size, corners=corners),
            )
        return result

    def _stages_for(self, number: int | None) -> _Stages:
        if self._max_targets == 1:
            return self._stages
        if number is None:  # nothing is known of other frames
            self._stages.reset()
            return self._stages
        if number not in self._stages_of_track:
            self._stages_of_track[number] = self._stages.for_one_track()
        return self._stages_of_track[number]

    def _lose_targets(self) -> None:
        self._stages.reset()
        self._stages_of_track.clear()
        self._turn_votes.clear()
        if self._tracker is not None:
            self._tracker.reset()
        if self._follower is not None:
            self._follower.reset()


def _check_score(rule: MissRule, rectifier: Rectifier) -> None:
    """Raises UsageError if the rule wants a score, and the model gives none."""
    if rule.min_score is not None and rectifier.model.metadata.score is None:
        raise UsageError(f"model {rectifier.model.metadata.name!r} gives no score: leave min_score (--min-score) out")


def _smooth(smoother: CornerSmoother | None, frame: CapturedFrame, location: Location) -> FloatArray | None:
    """Gives the corners to take the image from instead; None for those of the target."""
    if smoother is None:
        return None
    corners = smoother.smooth(location.corners, _seconds(frame))
    return None if corners is location.corners else corners


def _seconds(frame: CapturedFrame) -> float:
    """Gives the time of the frame, seconds; a file is read faster or slower than it plays."""
    return frame.timestamp if frame.position_s is None else frame.position_s
