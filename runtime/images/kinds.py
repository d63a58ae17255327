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
#: The suffixes of files that are none of these, of which `foreign_kind` knows most.
FOREIGN_SUFFIXES = frozenset({
    ".7z", ".bz2", ".docx", ".eps", ".exr", ".flac", ".gz", ".jxl", ".keras", ".mp3", ".odp", ".odt", ".pdf", ".pptx",
    ".ps", ".rar", ".svg", ".tar", ".tflite", ".tgz", ".wav", ".xz", ".zip", ".zst",
})
# fmt: on
_AVIF, _HEIF = frozenset({".avif", ".avifs"}), frozenset({".heic", ".heif", ".hif"})
# ISO/IEC 23008-12: images in the boxes that MP4 has, too; their kind stands behind "ftyp".
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})

#: Bytes by which `foreign_kind` tells.
LONGEST_FOREIGN_START = 1024
_PDF = "a PDF: pdftoppm -png makes images of it"
_ARCHIVE = "an archive: unpack it, and name the folder"
_SOUND = "sound: there is nothing to see in it"
_KERAS = "a Keras model, or other data in HDF5: stn-convert makes model files of Keras models"
#: Where a signature stands, the signature, what it is of.
_FOREIGN = (
    (0, b"\xff\x0a", "a JPEG XL image: djxl makes PNG of it"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL image: djxl makes PNG of it"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR image: store it as TIFF or PNG"),
    (0, b"%!PS", "a PostScript drawing: store it as PNG"),
    (0, b"<svg", "an SVG drawing: store it as PNG"),
    (4, b"TFL3", "a TensorFlow Lite model: give it as the model (--model)"),
    (0, b"\x89HDF\r\n\x1a\n", _KERAS),
    (0, b"PK\x03\x04", "an archive, or a document or Keras model that is one: unpack it, and name the folder"),
    (0, b"PK\x05\x06", "an archive without anything in it"),
    (0, b"7z\xbc\xaf\x27\x1c", _ARCHIVE),
    (0, b"Rar!\x1a\x07", _ARCHIVE),
    (0, b"\x1f\x8b", _ARCHIVE),
    (0, b"BZh", _ARCHIVE),
    (0, b"\xfd7zXZ\0", _ARCHIVE),
    (0, b"\x28\xb5\x2f\xfd", _ARCHIVE),
    (257, b"ustar", _ARCHIVE),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document of an office program: store its pages as PNG"),
    (0, b"ID3", _SOUND),
    (0, b"fLaC", _SOUND),
    (8, b"WAVE", _SOUND),
    (0, b"\xff\xfb", _SOUND),
)


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
        (VIDEO_SUFFIXES, "videos: name each by itself"),
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
        start: its first 32 bytes or more; none of an empty file.
        suffix: of its file, in small letters: it may tell what the content does not.
    """
    if not start:
        return "it is empty"
    brand = _brand(start)
    if brand in _HEIF_BRANDS:
        return f"it is a HEIC image: {_heif_advice()}, or convert it to JPEG"
    if brand in _AVIF_BRANDS:
        return "it is an AVIF image, which Pillow 11.3 or newer reads: convert it to JPEG"
    if brand or start[:4] == b"\x1aE\xdf\xa3" or (start[:4] == b"RIFF" and start[8:12] == b"AVI "):
        return "it is a video: name it by itself (in Python: Rectifier.stream)"
    kind = foreign_kind(start)
    if kind is not None:
        return f"it is {kind}"
    remedy = what_to_do(suffix)
    return f"it is no image, or of a kind that Pillow does not know{f' ({remedy})' if remedy else ''}"


def foreign_kind(start: bytes) -> str | None:
    """What content is that is neither an image nor a video that can be read, and what to do about it.

    FFmpeg finds a picture in some of it, such as the first page of a PDF or the cover of a song, and calls it a video.

    Args:
        start: its first `LONGEST_FOREIGN_START` bytes, or what there is.

    Returns:
        Words that follow ``"it is"``; None where the content does not tell.
    """
    for place, signature, kind in _FOREIGN:
        if start[place:].startswith(signature):
            return kind
    return _PDF if b"%PDF-" in start[:LONGEST_FOREIGN_START] else None  # readers of PDF let other bytes stand before it
