"""The kinds of image files: which are read here, and what to do about the others."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

from stn_rectify.runtime.process.installation import pip_command

# fmt: off
_ALWAYS = frozenset({
    ".apng", ".bmp", ".bw", ".dcx", ".dds", ".dib", ".fit", ".fits", ".flc", ".fli", ".gif", ".hdr", ".ico", ".j2c",
    ".j2k", ".jfif", ".jp2", ".jpc", ".jpe", ".jpeg", ".jpf", ".jpg", ".jps", ".jpx", ".mpo", ".pam", ".pbm", ".pcx",
    ".pfm", ".pgm", ".png", ".pnm", ".ppm", ".psd", ".qoi", ".ras", ".rgb", ".rgba", ".sgi", ".tga", ".tif", ".tiff",
    ".webp", ".xbm", ".xpm",
})
_RAW = frozenset({
    ".arw", ".cr2", ".cr3", ".crw", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".srw",
})
#: The suffixes of videos, in small letters.
VIDEO_SUFFIXES = frozenset({
    ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv",
    ".ts", ".vob", ".webm", ".wmv",
})
# fmt: on
_AVIF, _HEIF = frozenset({".avif", ".avifs"}), frozenset({".heic", ".heif", ".hif"})
# ISO/IEC 23008-12: images in the boxes that MP4 has, too; their kind stands behind "ftyp".
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})


def _heif_advice() -> str:
    return f"'{pip_command('install', 'pillow-heif')}' lets them be read"


def _remedies() -> tuple[tuple[frozenset[str], str], ...]:
    return (
        (_HEIF, _heif_advice()),
        (_AVIF, "Pillow 11.3 or newer reads them"),
        (_RAW, "raw photographs: develop them to JPEG or TIFF"),
        (frozenset({".jxl"}), "djxl makes PNG of them"),
        (frozenset({".exr"}), "store them as TIFF or PNG"),
        (frozenset({".pdf"}), "pdftoppm -png makes images of them"),
        (frozenset({".eps", ".ps", ".svg", ".wmf", ".emf"}), "drawings: store them as PNG"),
        (VIDEO_SUFFIXES, "videos: stn-rectify takes each with --video"),
    )


@cache
def image_suffixes() -> frozenset[str]:
    """The suffixes of files that are taken for images, in small letters: what Pillow and OpenCV read here."""
    avif = _AVIF if find_spec("PIL._avif") or find_spec("pillow_avif") else frozenset()
    return _ALWAYS | avif | (_HEIF if find_spec("pillow_heif") else frozenset())


@cache
def register_heif() -> None:
    """Lets Pillow read HEIC and, where it cannot by itself, AVIF, if their packages are installed."""
    if find_spec("pillow_heif"):
        from pillow_heif import register_heif_opener  # type: ignore[import-not-found]

        register_heif_opener()
    if find_spec("pillow_avif"):
        import pillow_avif  # type: ignore[import-not-found]  # noqa: F401


def what_to_do(suffix: str) -> str:
    """What to do about files of a suffix that are no images here; empty if nothing is known of them."""
    return next((remedy for suffixes, remedy in _remedies() if suffix in suffixes), "")


def called_image(suffix: str) -> bool:
    """Tells whether files of a suffix are images that can be read here, or could with what `what_to_do` says."""
    return suffix in image_suffixes() or suffix in _AVIF | _HEIF


def is_boxed_image(start: bytes) -> bool:
    """Tells whether content is a HEIC or AVIF image, by its first 12 bytes; without that it could be taken for MP4."""
    return _brand(start) in _HEIF_BRANDS | _AVIF_BRANDS


def _brand(start: bytes) -> bytes:
    return start[8:12] if start[4:8] == b"ftyp" else b""


def advice(start: bytes, suffix: str = "") -> str:
    """Why content cannot be read as an image, and what to do.

    Args:
        start: its first 32 bytes or more.
        suffix: of its file, in small letters: it may tell what the content does not.
    """
    brand = _brand(start)
    if brand in _HEIF_BRANDS:
        return f"it is a HEIC image: {_heif_advice()}, or convert it to JPEG"
    if brand in _AVIF_BRANDS:
        return "it is an AVIF image, which Pillow 11.3 or newer reads: convert it to JPEG"
    if brand or start[:4] == b"\x1aE\xdf\xa3" or (start[:4] == b"RIFF" and start[8:12] == b"AVI "):
        return "it is a video: stn-rectify takes it with --video"
    known = {
        b"\xff\x0a": "a JPEG XL image: djxl makes PNG of it",
        b"\0\0\0\x0cJXL ": "a JPEG XL image: djxl makes PNG of it",
        b"%PDF": "a PDF: pdftoppm -png makes images of it",
        b"%!PS": "a PostScript drawing: store it as PNG",
        b"<svg": "an SVG drawing: store it as PNG",
        b"\x76\x2f\x31\x01": "an OpenEXR image: store it as TIFF or PNG",
    }
    for signature, kind in known.items():
        if start.startswith(signature):
            return f"it is {kind}"
    remedy = what_to_do(suffix)
    return f"it is no image, or of a kind that Pillow does not know{f' ({remedy})' if remedy else ''}"
