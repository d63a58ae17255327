"""The run in a browser: the options, and the view they ask for."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.model.model_file import ModelFile
from stn_rectify.runtime.pipeline import Pipeline
from stn_rectify.runtime.rectifying.rectifier import Rectifier
from stn_rectify.runtime.sources import FrameSource
from stn_rectify.runtime.summary import RunSummary
from stn_rectify.runtime.web import SavingSwitch, WebView
from stn_rectify.runtime.web.address import ServeAddress

__all__ = ["TOKEN_VARIABLE", "add_web_options", "check_web_options", "open_web_view"]

TOKEN_VARIABLE = "STN_RECTIFY_TOKEN"


def add_web_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the web view."""
    group = parser.add_argument_group("web view")
    group.add_argument(
        "--serve",
        metavar="[HOST:]PORT",
        help="show the run in browsers: on 127.0.0.1 if there is no host, on a free port if it is 0",
    )
    group.add_argument(
        "--token",
        metavar="TOKEN",
        help="what browsers have to give; needed where other machines can connect. Other users of this machine see "
        f"command lines: better set {TOKEN_VARIABLE}, or token in --config",
    )
    group.add_argument(
        "--serve-models",
        nargs="+",
        metavar="FILE|NAME",
        help="models that may be chosen in the page, beside the run's own",
    )


def check_web_options(arguments: argparse.Namespace) -> None:
    """Checks what no option can know of itself.

    Raises:
        UsageError: the address is none, or options do not go together.
    """
    for key in ("token", "serve_models"):
        if getattr(arguments, key) is not None and arguments.serve is None:
            raise UsageError(f"--{key.replace('_', '-')} needs --serve")
    if arguments.serve is not None:
        ServeAddress.parse(arguments.serve)


def open_web_view(
    arguments: argparse.Namespace,
    pipeline: Pipeline,
    source: FrameSource,
    *,
    summary: RunSummary,
    saving: SavingSwitch | None,
    open_model: Callable[[str | None], Rectifier],
) -> WebView:
    """The web view that the options ask for; it serves once it is entered.

    Args:
        arguments: the options.
        pipeline: of the run.
        source: of the run.
        summary: of the run.
        saving: what the page's button switches.
        open_model: opens a model, by file or name, as the run wants it.

    Raises:
        UsageError: the address needs a token.
        ModelFileError: a model to choose from is none.
        StnRectifyError: nobody can listen at the address, or the extra is not installed.
    """
    return WebView(
        pipeline,
        source,
        arguments.serve,
        token=arguments.token or os.environ.get(TOKEN_VARIABLE) or None,
        summary=summary,
        saving=saving,
        models=_models(arguments.model, pipeline, arguments.serve_models or [], open_model),
    )


def _models(
    own: str | None, pipeline: Pipeline, others: Sequence[str], open_model: Callable[[str | None], Rectifier]
) -> Mapping[str, Callable[[], Rectifier]]:
    """Names as the page shows them; where two files have the same, the whole path."""
    first = pipeline.rectifier.model.metadata.name
    models: dict[str, Callable[[], Rectifier]] = {first: partial(open_model, own)}
    for model in others:
        if model not in (own, first):
            ModelFile.open(model)  # what is misspelt shall not come to light in the page
            name = Path(model).stem if Path(model).stem not in models else model
            models[name] = partial(open_model, model)
    return models
