"""The kinds of image files: which are read here, and what to do about the others."""

from __future__ import annotations

from dataclasses import dataclass
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

#: Bytes by which `foreign_kind` tells.
LONGEST_FOREIGN_START = 1024


@dataclass(frozen=True)
class _Foreign:
    """A kind of files that are neither images nor videos that can be read here.

    Attributes:
        words: what it is, and what to do about it where no image comes of it.
        remedy: what makes images of it, with ``{}`` for "it" or "them"; empty where nothing does.
        suffixes: of its files.
        signatures: what its content has, each with its place.
    """

    words: str
    remedy: str = ""
    suffixes: frozenset[str] = frozenset()
    signatures: tuple[tuple[int, bytes], ...] = ()

    @property
    def told(self) -> str:
        """The words that follow ``"it is"``."""
        return f"{self.words}: {self.remedy.format('it')}" if self.remedy else self.words


_PDF = _Foreign("a PDF", "pdftoppm -png makes images of {}", frozenset({".pdf"}))
_PNG, _UNPACK = "store {} as PNG", "unpack it, and name the folder"
_FOREIGN = (
    _PDF,
    _Foreign(
        "a JPEG XL image",
        "djxl makes PNG of {}",
        frozenset({".jxl"}),
        ((0, b"\xff\x0a"), (0, b"\0\0\0\x0cJXL ")),
    ),
    _Foreign("an OpenEXR image", "store {} as TIFF or PNG", frozenset({".exr"}), ((0, b"\x76\x2f\x31\x01"),)),
    _Foreign("a PostScript drawing", _PNG, frozenset({".eps", ".ps"}), ((0, b"%!PS"),)),
    _Foreign("an SVG drawing", _PNG, frozenset({".svg"}), ((0, b"<svg"),)),
    _Foreign("a drawing of Windows", _PNG, frozenset({".emf", ".wmf"})),
    _Foreign("a TensorFlow Lite model: give it as the model (--model)", "", frozenset({".tflite"}), ((4, b"TFL3"),)),
    _Foreign(
        "a Keras model, or other data in HDF5: stn-convert makes model files of Keras models",
        signatures=((0, b"\x89HDF\r\n\x1a\n"),),
    ),
    _Foreign(
        f"an archive, or a document or Keras model that is one: {_UNPACK}",
        "",
        frozenset({".docx", ".keras", ".odp", ".odt", ".pptx", ".zip"}),
        ((0, b"PK\x03\x04"),),
    ),
    _Foreign("an archive without anything in it", signatures=((0, b"PK\x05\x06"),)),
    _Foreign(
        f"an archive: {_UNPACK}",
        "",
        frozenset({".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zst"}),
        (
            (0, b"7z\xbc\xaf\x27\x1c"),
            (0, b"Rar!\x1a\x07"),
            (0, b"\x1f\x8b"),
            (0, b"BZh"),
            (0, b"\xfd7zXZ\0"),
            (0, b"\x28\xb5\x2f\xfd"),
            (257, b"ustar"),
        ),
    ),
    _Foreign(
        "a document of an office program: store its pages as PNG",
        signatures=((0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),),
    ),
    _Foreign(
        "sound: there is nothing to see in it",
        "",
        frozenset({".flac", ".mp3", ".wav"}),
        ((0, b"ID3"), (0, b"fLaC"), (8, b"WAVE"), (0, b"\xff\xfb")),
    ),
)
#: The suffixes of files that are neither images nor videos.
FOREIGN_SUFFIXES = frozenset(suffix for kind in _FOREIGN for suffix in kind.suffixes)


def _heif_advice() -> str:
    return f"'{pip_command('install', 'pillow-heif')}' lets them be read"


def _remedies() -> tuple[tuple[frozenset[str], str], ...]:
    return (
        (_HEIF, _heif_advice()),
        (_AVIF, "Pillow 11.3 or newer reads them"),
        (_RAW, "raw photographs: develop them to JPEG or TIFF"),
        *((kind.suffixes, kind.remedy.format("them")) for kind in _FOREIGN if kind.remedy),
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
        from pillow_heif import register_heif_opener

        register_heif_opener()
    if find_spec("pillow_avif"):
        import pillow_avif  # noqa: F401


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
    for kind in _FOREIGN:
        if any(start.startswith(signature, place) for place, signature in kind.signatures):
            return kind.told
    # Readers of PDF let other bytes stand before it.
    return _PDF.told if b"%PDF-" in start[:LONGEST_FOREIGN_START] else None
