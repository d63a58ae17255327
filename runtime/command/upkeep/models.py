"""``stn-rectify models``: lists models, proves files, and changes the one that a service uses while it runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from stn_rectify.runtime.command.messages import model_description, recognizer_line
from stn_rectify.runtime.command.parsing.option_groups import OptionGroup, group, option, positional, positionals
from stn_rectify.runtime.command.parsing.parser import OneLineParser
from stn_rectify.runtime.command.upkeep.model_store import ModelStore
from stn_rectify.runtime.command.upkeep.signatures import check_signature, signature_file
from stn_rectify.runtime.errors import DataError, ModelFileError, StnRectifyError, UsageError, first_line
from stn_rectify.runtime.model.model_file import MODEL_KIND, ModelFile, bundled_models
from stn_rectify.runtime.process.standard_streams import say, write_stdout
from stn_rectify.runtime.recognition.recognizer import Recognizer
from stn_rectify.runtime.recognition.recognizer_file import RECOGNIZER_KIND, RECOGNIZER_SUFFIX
from stn_rectify.runtime.rectifying.rectifier import Rectifier
from stn_rectify.runtime.sources import ImageSource
from stn_rectify.runtime.sources.by_name import DEMO_IMAGE

STORE_VARIABLE = "STN_RECTIFY_MODELS"
KEY_VARIABLE = "STN_RECTIFY_MODEL_KEY"

_PROGRAM = "stn-rectify models"
_CONFIGURATION = Path("/etc/stn-rectify")
_KEY_FILE = _CONFIGURATION / "models.pub"


@dataclass(frozen=True)
class StoreOptions(OptionGroup):
    """Where the models of this device lie."""

    title: ClassVar[str] = "the models of this device"

    store: Path | None = option(
        None,
        f"the folder of the model in use ({STORE_VARIABLE}, {_CONFIGURATION}/models where that is, else in the home)",
        Path,
        metavar="DIR",
    )

    @property
    def found(self) -> ModelStore:
        """The store that the option or else the environment names, or that of the installation."""
        named = self.store or os.environ.get(STORE_VARIABLE)
        if named:
            return ModelStore(Path(named))
        if _CONFIGURATION.is_dir():
            return ModelStore(_CONFIGURATION / "models")
        data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        return ModelStore(Path(data) / "stn-rectify" / "models")


@dataclass(frozen=True)
class ProofOptions(OptionGroup):
    """What a file is compared with, beside the proof that it carries in itself."""

    title: ClassVar[str] = "proof"

    key: Path | None = option(
        None,
        "a public key, minisign's or ed25519 in PEM: the signature has to lie beside the file "
        f"({KEY_VARIABLE}, {_KEY_FILE} where that is)",
        Path,
        metavar="FILE",
    )

    @property
    def key_file(self) -> Path | None:
        """The key that is configured; None if there is none."""
        named = self.key or os.environ.get(KEY_VARIABLE)
        return Path(named) if named else _KEY_FILE if _KEY_FILE.exists() else None


@dataclass(frozen=True, kw_only=True)
class VerifyOptions(OptionGroup):
    """The options of ``stn-rectify models verify``."""

    files: tuple[str, ...] = positionals(
        "model files, recognizers (*.recognizer.tflite), bundled names", metavar="FILE"
    )
    proof: ProofOptions = group()


@dataclass(frozen=True, kw_only=True)
class InstallOptions(OptionGroup):
    """The options of ``stn-rectify models install``."""

    file: str = positional("a model file from stn-convert, or a bundled name", str, metavar="FILE")
    sha256: str | None = option(None, "what its SHA-256 has to be", metavar="HEX")
    proof: ProofOptions = group()
    store: StoreOptions = group()


def models(words: Sequence[str]) -> int:
    """Runs ``stn-rectify models``.

    Args:
        words: what follows on the command line.

    Returns:
        The exit status: 1 if a file that was to be verified is not as it should be, else 0.

    Raises:
        StnRectifyError: if a model cannot be swapped in; the one in use stays.
    """
    parsed = vars(models_parser().parse_args(words))
    options, act, _ = _acts()[parsed["verb"]]
    return act(options.of(parsed))


def models_parser() -> OneLineParser:
    """The command's parser, with one of its own for each verb."""
    parser = OneLineParser(
        prog=_PROGRAM,
        description="Lists models, proves model files, and changes the one in use.",
        epilog="A run uses it by --model DIR/current.tflite; SIGHUP (systemctl reload stn-rectify) makes a run take a "
        "new one and go on.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|verify|install|rollback")
    for verb, (options, _, text) in _acts().items():
        one = verbs.add_parser(
            verb, example=f"{_PROGRAM} {verb} labels.tflite", help=text, description=f"{text[0].upper()}{text[1:]}."
        )
        options.add_to(one)
        one.add_argument("--debug", action="store_true", help="print a traceback with an error")
    return parser


def _acts() -> Mapping[str, tuple[type[OptionGroup], Callable[[Any], int], str]]:
    """Options, work and purpose of each verb."""
    return {
        "list": (StoreOptions, _list, "what comes with the package, what is in use, and what was before"),
        "verify": (VerifyOptions, _verify, "prove files, and run each once; one that is bad ends with status 1"),
        "install": (InstallOptions, _install, "verify a file, then put it in the place of the one in use"),
        "rollback": (StoreOptions, _rollback, "go back to the model before; once more: forward again"),
    }


def _list(options: StoreOptions) -> int:
    store = options.found
    for name in bundled_models():
        write_stdout(f"bundled  {name} {model_description(ModelFile.open(name)).partition(' ')[2]}\n")
    for word, file in (("in use", store.in_use), ("before", store.before)):
        if file is None:
            continue
        try:
            write_stdout(f"{word:<7}  {file}: {model_description(ModelFile.open(file))}\n")
        except ModelFileError as error:
            write_stdout(f"{word:<7}  {file}: bad: {error}\n")
    if store.in_use is None:
        say(f"no model is installed in {store.folder}: stn-rectify models install FILE")
    return 0


def _verify(options: VerifyOptions) -> int:
    status = 0
    for file in options.files:
        try:
            content, path = _proved(file, options.proof)
            if path.name.endswith(RECOGNIZER_SUFFIX):
                with Recognizer(path) as recognizer:
                    text = recognizer_line(recognizer)
            else:
                text = model_description(_tried(path))
        except UsageError:
            raise
        except StnRectifyError as error:
            status = 1
            write_stdout(f"bad  {error}\n")
        else:
            write_stdout(f"ok   {file}: {text}, SHA-256 {hashlib.sha256(content).hexdigest()}\n")
    return status


def _install(options: InstallOptions) -> int:
    if options.file.endswith(RECOGNIZER_SUFFIX):
        raise UsageError(
            f"{options.file} is a recognizer, which a run takes by --recognizer: put it there, and verify it"
        )
    content, path = _proved(options.file, options.proof, options.sha256)
    _tried(path)  # whose messages name this file, and not the copy
    store = options.store.found
    earlier = store.in_use
    file = store.install(content, _tried)
    if file == earlier:
        say(f"{path} is the model in use already")
        return 0
    _say_in_use(store, file)
    return 0


def _rollback(options: StoreOptions) -> int:
    store = options.found
    _say_in_use(store, store.rollback(_tried))
    return 0


def _say_in_use(store: ModelStore, file: Path) -> None:
    say(f"in use: {file.stem}: {model_description(ModelFile.open(file))}")
    say(f"runs with --model {store.current} take it up at their next start, or now: sudo systemctl reload stn-rectify")


def _proved(file: str, proof: ProofOptions, sha256: str | None = None) -> tuple[bytes, Path]:
    """The content of a file, once for all checks, as far as what stands beside it says that it is the right one.

    Raises:
        ModelFileError: if it cannot be read, or its hash or its signature is another.
        UsageError: if the key cannot be used, or ``sha256`` is none.
        StnRectifyError: if the extra for signatures is not installed.
    """
    kind = RECOGNIZER_KIND if file.endswith(RECOGNIZER_SUFFIX) else MODEL_KIND
    path = kind.locate(file)
    content = kind.read(path)
    kind.is_as_told(path, content)
    if sha256 is not None:
        kind.is_as_told(path, content, sha256)
    key = proof.key_file
    if key is not None and not kind.is_bundled(path):
        try:
            check_signature(content, signature_file(path, key), key)
        except DataError as error:
            raise ModelFileError(f"{kind.noun} file {path}: {error}") from error
    return content, path


def _tried(path: Path) -> ModelFile:
    """Opens a model, which proves it, and runs it once.

    Raises:
        ModelFileError: if it is no model of ours, or the interpreter cannot run it.
        StnRectifyError: if no interpreter works in this environment.
    """
    try:
        with ImageSource(DEMO_IMAGE) as source, Rectifier(path) as rectifier:
            rectifier.locate(next(iter(source)).image)
            return rectifier.model
    except (DataError, RuntimeError, ValueError) as error:
        raise ModelFileError(f"model file {path} does not run: {first_line(error)}") from error
