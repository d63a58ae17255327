"""A run in the browser: what an app or the command adds to its loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path

from stn_rectify.runtime.closing import Closing
from stn_rectify.runtime.errors import StnRectifyError, UsageError
from stn_rectify.runtime.pipeline import Pipeline, Processed
from stn_rectify.runtime.process.installation import install_command
from stn_rectify.runtime.rectifying.rectifier import Rectifier
from stn_rectify.runtime.sources import FrameSource
from stn_rectify.runtime.summary import RunSummary
from stn_rectify.runtime.web.address import ServeAddress
from stn_rectify.runtime.web.certificate import ServerCertificate
from stn_rectify.runtime.web.controls import Controls, SavingSwitch
from stn_rectify.runtime.web.live_state import LiveState
from stn_rectify.runtime.web.machine_watch import MachineWatch


class WebView(Closing):
    """Serves a page with the live frame, the rectified image and the numbers of a run; a context manager.

    The page shows the last readings and changes settings of ``pipeline``, too. The server has a thread of its own.
    `show` only hands over references, so frames must not be overwritten afterwards; pictures are encoded in the server,
    once for all who watch, and only while somebody does.

    Args:
        pipeline: what the frames go through. Its rectifier is replaced when another model is chosen in the page.
        source: where the frames come from.
        address: ``[HOST:]PORT``; 127.0.0.1 if there is no host, a free port if it is 0.
        token: what browsers have to give; addresses that other machines can reach need one.
        summary: of the run; who gives one adds the results to it. None: the view keeps its own.
        saving: what start and stop of saving switch, and where snapshots go; None leaves the buttons dead.
        models: models to choose from, and what opens each.
        stalled_s: a browser that reads nothing for so long is dropped, seconds.
        tls_cert: PEM file of a certificate, with those between it and its authority's behind it: the page is served
            under TLS. None: plain HTTP.
        tls_key: PEM file of its private key; None where that is in the same file.

    Attributes:
        url: the address of the page.

    Raises:
        UsageError: if the text is no address, the address needs a token, or a key has no certificate.
        StnRectifyError: if nobody can listen at the address, the certificate cannot be used, or the extra ``web`` is
            not installed.

    Example:
        >>> with Rectifier() as rectifier, CameraSource() as camera:  # doctest: +SKIP
        ...     pipeline = Pipeline(rectifier)
        ...     with WebView(pipeline, camera, "8080") as view:
        ...         for frame in camera:
        ...             view.show(pipeline.process(frame))
    """

    def __init__(
        self,
        pipeline: Pipeline,
        source: FrameSource,
        address: str = "0",
        *,
        token: str | None = None,
        summary: RunSummary | None = None,
        saving: SavingSwitch | None = None,
        models: Mapping[str, Callable[[], Rectifier]] | None = None,
        stalled_s: float = 10.0,
        tls_cert: str | PathLike[str] | None = None,
        tls_key: str | PathLike[str] | None = None,
    ) -> None:
        try:
            from stn_rectify.runtime.web.access import Guard, check_token
            from stn_rectify.runtime.web.application import make_application
            from stn_rectify.runtime.web.server_thread import ServerThread
        except ModuleNotFoundError as error:
            raise StnRectifyError(
                f"the web view needs {error.name}, which is not installed: {install_command('web')}"
            ) from error
        if token is not None:
            check_token(token)
        if tls_cert is None and tls_key is not None:
            raise UsageError(f"the private key {tls_key} needs its certificate: give that as well")
        self._certificate = None if tls_cert is None else ServerCertificate(tls_cert, tls_key)
        self._adds, self._summary = summary is None, summary or RunSummary(pipeline.rule)
        self._pipeline, self._timed = pipeline, pipeline.rectifier
        self._controls = Controls(pipeline, saving, models or {}, frames_follow=source.frames_follow)
        machine = MachineWatch(Path.cwd() if saving is None else saving.sink.folder)
        self._state = LiveState(source, self._summary, self._controls, machine, self._certificate)
        place = ServeAddress.parse(address)
        listening = place.listen(has_token=token is not None)
        is_tls = self._certificate is not None
        self.url = place.url(listening, is_tls=is_tls)
        guard = Guard(token, listening.getsockname()[1], is_tls=is_tls)
        self._server = ServerThread(
            lambda: make_application(self._state, self._controls, guard, stalled_s=stalled_s),
            listening,
            None if self._certificate is None else self._certificate.context,
        )

    def show(self, done: Processed) -> bool:
        """Takes the next frame, and does what the page's buttons have asked for; between two frames of the run.

        Args:
            done: what `Pipeline.process` gave, skipped or not.

        Returns:
            True if the next frame will be found by another model, or with other settings. What goes wrong with a button
            is a line in the page.
        """
        if self._adds:
            targets = len(done.targets) if self._controls.has_several_targets else None
            self._summary.add(done.result, targets=targets, rule=done.rule)
        self._state.show(done)
        return self.act(done)

    def act(self, done: Processed) -> bool:
        """Does what the page's buttons have asked for, without a new frame.

        Args:
            done: the newest one.

        Returns:
            True if another model was taken up, or another setting.
        """
        is_other = self._controls.act(done)
        if self._pipeline.rectifier is not self._timed:  # a reload of the run may have changed it, too
            self._timed = self._pipeline.rectifier
            self._state.start_latencies_anew()
        return is_other

    def reload_certificate(self) -> bool:
        """Reads the files of the certificate anew; connections that are open keep the one they have.

        Returns:
            True if it is another one.

        Raises:
            StnRectifyError: if they cannot be used; the certificate in use stays.
        """
        return self._certificate is not None and self._certificate.reload()

    def say_all_done(self) -> None:
        """Tells those who watch that no further frame will come."""
        self._state.all_done = True

    def __enter__(self) -> WebView:
        self._server.start()
        return self

    def close(self) -> None:
        """Ends the server and all its streams. Closing twice does no harm."""
        self._server.close()
        self._controls.close()
