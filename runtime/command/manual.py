"""What the command says of itself to shells and to ``man``: its parser with those of its subcommands."""

from __future__ import annotations

import argparse
import os
import re
from typing import Any

from stn_rectify.runtime.command.doctor import doctor_parser
from stn_rectify.runtime.command.evaluate import evaluate_parser
from stn_rectify.runtime.command.options.run_options import DESCRIPTION, PROGRAM, USAGE, make_parser
from stn_rectify.runtime.command.upkeep.models import models_parser
from stn_rectify.runtime.errors import StnRectifyError
from stn_rectify.runtime.model.model_file import bundled_models
from stn_rectify.runtime.process.installation import install_command, installed_version
from stn_rectify.runtime.process.standard_streams import write_stdout

_MODELS = ("--model", "--serve-models")
_FOLDERS, _FILES = {"DIR"}, {"FILE", "PATH", "INPUT"}
# Names of bundled models, then files.
_MODEL_FUNCTION = "_stn_rectify_models"
_PREAMBLE = {
    "bash": '{function}() {{\n  compgen -W "{models}" -- "$1"\n  compgen -f -- "$1"\n}}\n',
    "zsh": "{function}() {{\n  compadd {models}\n  _files\n}}\n",
}


def whole_parser() -> argparse.ArgumentParser:
    """The parser of the command, with those of its subcommands in it; for descriptions only."""
    parser = make_parser()
    parser.usage = USAGE
    commands = parser.add_subparsers(prog=PROGRAM, metavar="COMMAND", title="commands")
    for name, made in (("doctor", doctor_parser()), ("evaluate", evaluate_parser()), ("models", models_parser())):
        about = made.description or ""
        commands.add_parser(name, parents=[made], add_help=False, help=about, description=about, epilog=made.epilog)
    return parser


def completion(shell: str) -> str:
    """The script that makes a shell complete the command: options, their choices, bundled models, files and folders.

    Args:
        shell: one of `run_options.SHELLS`. Only bash completes the options of subcommands, too.

    Raises:
        StnRectifyError: if the extra is not installed.
    """
    try:
        import shtab
    except ImportError as error:
        raise StnRectifyError(f"completion needs the extra completion: {install_command('completion')}") from error
    if shell == "bash":
        parser = whole_parser()
    else:  # where a first word that may be a command would be no file
        parser = make_parser()
        parser.add_argument("inputs", nargs="*", metavar="INPUT", help="what to rectify")
    _complete(parser, shtab)
    words = " ".join(bundled_models())
    preamble = {name: text.format(function=_MODEL_FUNCTION, models=words) for name, text in _PREAMBLE.items()}
    complete: Any = shtab.complete  # whose annotation knows a text only
    script: str = complete(parser, shell, preamble=preamble)
    # Where no command begins like the first word, it is a file.
    return script.replace("complete -o bashdefault", "complete -o bashdefault -o default")


def man_page() -> str:
    """The manual page in troff, by argparse-manpage: ``docs/reference/stn-rectify.1``, which a wheel installs."""
    from argparse_manpage.manpage import Manpage

    os.environ["COLUMNS"] = "72"  # by which argparse breaks lines; man indents them on a terminal of 80
    described = {
        "project_name": PROGRAM, "version": installed_version(), "date": "", "manual_title": "User commands",
        "description": DESCRIPTION[0].lower() + DESCRIPTION[1:].rstrip("."),
    }  # fmt: skip
    page = Manpage(whole_parser(), described)
    page.date = ""  # it is that of the version
    # The lines of a usage are argparse's own: filled anew they would be torn between an option and its value.
    return re.sub(r"(?ms)^usage: .*?(?=^$)", lambda usage: f".nf\n{usage[0]}.fi\n", str(page))


def _complete(parser: argparse.ArgumentParser, shtab: Any) -> None:
    """Says of each value of an option, and of its subcommands, what it may be completed to."""
    action: Any  # shtab looks for an attribute that argparse knows nothing of
    for action in parser._actions:
        words = set(str(action.metavar or "").replace("|", " ").split())
        complete = None
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                _complete(one, shtab)
        elif set(action.option_strings) & set(_MODELS):
            complete = {**shtab.FILE, "bash": _MODEL_FUNCTION, "zsh": _MODEL_FUNCTION}
        elif words & _FOLDERS:
            complete = shtab.DIRECTORY
        elif words & _FILES:
            complete = shtab.FILE
        if complete is not None:
            action.complete = complete


if __name__ == "__main__":
    write_stdout(man_page())
