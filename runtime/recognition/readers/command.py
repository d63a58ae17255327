"""Any program as a recognizer: it gets the path of a picture, and prints the text."""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.checks import check_positive
from stn_rectify.runtime.closing import Closing
from stn_rectify.runtime.errors import StnRectifyError, UsageError, shown
from stn_rectify.runtime.recognition.recognition import Recognition

#: What stands in a command for the path of the picture.
PICTURE = "{}"
_MOST_BYTES = 1 << 16  # of a text


class CommandRecognizer(Closing):
    """Runs a program for each image.

    Args:
        command: the program and its arguments, as a shell would split them (no shell runs it), or as a list. ``{}`` is
            replaced by the path of the picture, a PNG; without one the path comes last.
        timeout_s: time that an image may take, seconds; then the program and what it has started are killed.

    Raises:
        UsageError: if the command is empty, cannot be split, or names no program that can be run, or if ``timeout_s``
            is out of range.

    Example:
        >>> with CommandRecognizer("zbarimg --raw -q {}") as recognizer:  # doctest: +SKIP
        ...     pipeline = Pipeline(rectifier, recognizer=recognizer)
    """

    def __init__(self, command: str | Sequence[str], *, timeout_s: float = 10.0) -> None:
        self._timeout_s = check_positive("timeout_s", timeout_s)
        if not isinstance(command, Sequence) or not all(isinstance(word, str) for word in command):
            raise UsageError(f"command is {shown(command)}: must be a command line, or a list of its words")
        try:
            words = shlex.split(command) if isinstance(command, str) else list(command)
        except ValueError as error:
            raise UsageError(f"the recognizer's command {shown(command)} cannot be split ({error})") from error
        if not words or not words[0].strip():
            raise UsageError("the recognizer's command is empty: give a program, such as 'zbarimg --raw -q {}'")
        if shutil.which(words[0]) is None:
            raise UsageError(
                f"the recognizer's command {words[0]!r} is no program that can be run: install it, or give its path"
            )
        self._words = words if any(PICTURE in word for word in words[1:]) else [*words, PICTURE]
        self._folder: str | None = tempfile.mkdtemp(prefix="stn-rectify-")

    @property
    def description(self) -> str:
        """The command as it is run."""
        return f"command {shlex.join(self._words)}"

    def recognize(self, image: Image) -> Recognition | None:
        """Runs the program on an upright image, BGR uint8 [h, w, 3] or grey [h, w].

        Returns:
            What it prints, without white space around it and without empty lines; it has no score. None if it prints
            nothing.

        Raises:
            StnRectifyError: if it cannot be run, ends with a status other than 0, takes too long, or prints more than
                64 KB.
            UsageError: if the recognizer is closed.
        """
        if self._folder is None:
            raise UsageError("this CommandRecognizer is closed: make a new one")
        picture = Path(self._folder) / "target.png"
        try:
            written, content = cv2.imencode(".png", image)
            if not written:
                raise StnRectifyError("the image cannot be written as a PNG")
            picture.write_bytes(content.tobytes())
        except OSError as error:
            raise StnRectifyError(f"cannot write {picture}: {error.strerror}") from error
        output = self._run([word.replace(PICTURE, str(picture)) for word in self._words])
        lines = (" ".join(line.split()) for line in output.decode(errors="replace").splitlines())
        text = "\n".join(filter(None, lines))
        return Recognition(text, None) if text else None

    def close(self) -> None:
        """Removes the picture. Closing twice does no harm."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _run(self, words: Sequence[str]) -> bytes:
        """What a program prints."""
        name, deadline = words[0], time.monotonic() + self._timeout_s
        try:
            # A session of its own: Ctrl-C is ours, and all that it starts can be ended.
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise StnRectifyError(f"cannot run {name}: {error.strerror}") from error
        with process:
            try:
                output, errors = _printed(process, name, deadline)
                status = process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise StnRectifyError(f"{name} took more than {self._timeout_s:g} s: give it more time") from None
            finally:
                if process.returncode is None:  # else its number may be another's by now
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(process.pid, signal.SIGKILL)
        if status:
            said = next((line.strip() for line in errors.decode(errors="replace").splitlines() if line.strip()), "")
            raise StnRectifyError(f"{name} ended with status {status}{': ' * bool(said)}{said:.200}")
        return output


def _printed(process: subprocess.Popen[bytes], name: str, deadline: float) -> tuple[bytes, bytes]:
    """Standard output and the beginning of standard error, as they come.

    Raises:
        subprocess.TimeoutExpired: if they are still open at the deadline.
        StnRectifyError: if the output is no text of a target: a program that never stops printing must not fill the
            memory.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    output, errors = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, output)
        selector.register(process.stderr, selectors.EVENT_READ, errors)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise subprocess.TimeoutExpired(name, 0.0)
            for key, _ in ready:
                part = os.read(key.fd, _MOST_BYTES)
                if not part:
                    selector.unregister(key.fileobj)
                if key.data is output or len(errors) < _MOST_BYTES:
                    key.data.extend(part)
            if len(output) > _MOST_BYTES:
                raise StnRectifyError(f"{name} printed more than {_MOST_BYTES // 1024} KB: a text is expected")
    return bytes(output), bytes(errors)
