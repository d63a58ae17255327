"""Python and the packages that the runtime needs."""

from __future__ import annotations

from collections.abc import Mapping

from stn_rectify.runtime.command.checks.check import Check

__all__ = [
    "OPENCV_DISTRIBUTIONS",
    "interpreter_check",
    "numpy_check",
    "opencv_check",
    "package_check",
    "python_check",
]

#: The packages of PyPI that hold the module ``cv2``.
OPENCV_DISTRIBUTIONS = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)

_OLDEST_PYTHON = (3, 10)


def python_check(version: tuple[int, int, int], bits: int) -> Check:
    """Python's own version and the size of its pointers in bits."""
    found = f"{'.'.join(map(str, version))}, {bits}-bit"
    if version < _OLDEST_PYTHON:
        return Check("Python", "problem", found, f"install Python {'.'.join(map(str, _OLDEST_PYTHON))} or later")
    if bits != 64:
        # A Raspberry Pi may run a 64-bit kernel below 32-bit programs; what counts is Python.
        return Check("Python", "problem", found, "install a 64-bit system; the interpreters have no 32-bit packages")
    return Check("Python", "ok", found)


def package_check(version: str | None) -> Check:
    """The version of this package; None if it runs without being installed."""
    if version is None:
        return Check("stn-rectify", "warning", "not installed", "pip install it, so that it gets what it needs")
    return Check("stn-rectify", "ok", version)


def numpy_check(version: str, installed: str | None) -> Check:
    """The version of NumPy that was imported, beside the one that pip knows."""
    if installed is not None and installed != version:
        mend = "pip install --force-reinstall numpy, or remove what PYTHONPATH adds"
        return Check("NumPy", "warning", f"{version} is imported, {installed} is installed", mend)
    return Check("NumPy", "ok", version)


def opencv_check(version: str, installed: Mapping[str, str]) -> Check:
    """OpenCV.

    Args:
        version: what ``cv2`` says of itself.
        installed: those of `OPENCV_DISTRIBUTIONS` that are installed, with their versions.
    """
    if len(installed) > 1:
        # All write the same files, and removing one takes the others' away.
        names = " ".join(installed)
        keep = "opencv-python-headless" if "opencv-python-headless" in installed else next(iter(installed))
        mend = f"pip uninstall -y {names}, then pip install '{keep}=={installed[keep]}'"
        return Check("OpenCV", "problem", f"{version}; {' and '.join(installed)} overwrite each other", mend)
    origin = ", ".join(f"{name} {number}" for name, number in installed.items()) or "not from pip"
    return Check("OpenCV", "ok", f"{version} ({origin})")


def interpreter_check(name: str, version: str, numpy_version: str) -> Check:
    """The TensorFlow Lite interpreter's package beside NumPy."""
    found = f"{name} {version}"
    if name == "tflite-runtime" and int(numpy_version.partition(".")[0]) >= 2:
        mend = "pip install 'numpy<2', or install the other interpreter: pip install ai-edge-litert"
        return Check("interpreter", "problem", f"{found} does not work with NumPy {numpy_version}", mend)
    return Check("interpreter", "ok", found)
