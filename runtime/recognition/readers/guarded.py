"""A recognizer whose failures end no run: the target has no label then."""

from __future__ import annotations

from collections.abc import Callable

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.errors import StnRectifyError, UsageError, first_line
from stn_rectify.runtime.recognition.recognition import ImageRecognizer, ImageSize, Recognition, as_recognition


class GuardedRecognizer:
    """Stands before a recognizer that is not ours: an engine, someone's function, a program.

    Args:
        recognizer: what reads.
        on_failure: called with what went wrong, for each image.
    """

    def __init__(self, recognizer: ImageRecognizer, on_failure: Callable[[StnRectifyError], None]) -> None:
        self._recognizer, self._on_failure = recognizer, on_failure

    @property
    def description(self) -> str:
        """What the recognizer says of itself, else the name of its class."""
        said = getattr(self._recognizer, "description", None)
        return said if isinstance(said, str) else type(self._recognizer).__name__

    @property
    def image_size(self) -> ImageSize | None:
        """The size that the recognizer wants, if it wants one."""
        size: ImageSize | None = getattr(self._recognizer, "image_size", None)
        return size

    def recognize(self, image: Image) -> Recognition | None:
        """What the recognizer says of an image; None where it fails.

        Raises:
            UsageError: if it says something that no recognizer may.
        """
        try:
            answer = self._recognizer.recognize(image)
        except UsageError:
            raise
        except Exception as error:
            kind = "" if isinstance(error, StnRectifyError) else f"{type(error).__name__}: "
            self._on_failure(StnRectifyError(f"the recognizer failed ({kind}{first_line(error)})"))
            return None
        return as_recognition(answer)
