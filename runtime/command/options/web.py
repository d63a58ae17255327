"""The run in a browser: the options, and the view they ask for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from stn_rectify.runtime.command.parsing.option_groups import OptionGroup, option, texts
from stn_rectify.runtime.model.limits import ModelLimits
from stn_rectify.runtime.model.model_file import ModelFile
from stn_rectify.runtime.pipeline import Pipeline
from stn_rectify.runtime.rectifying.rectifier import Rectifier
from stn_rectify.runtime.sources import FrameSource
from stn_rectify.runtime.summary import RunSummary
from stn_rectify.runtime.web import SavingSwitch, WebView

TOKEN_VARIABLE = "STN_RECTIFY_TOKEN"


@dataclass(frozen=True)
class WebOptions(OptionGroup):
    """The web view."""

    title: ClassVar[str] = "web view"

    serve: str | None = option(
        None,
        "show the run in browsers: on 127.0.0.1 if there is no host, on a free port if it is 0 (extra web)",
        metavar="[HOST:]PORT",
    )
    token: str | None = option(
        None,
        "what browsers have to give; needed where other machines can connect. Other users of this machine see "
        f"command lines: better set {TOKEN_VARIABLE}, or token in --config",
        metavar="TOKEN",
        secret=True,
    )
    serve_models: tuple[str, ...] | None = texts(
        "models that may be chosen in the page, beside the run's own", metavar="FILE|NAME"
    )


def open_web_view(
    options: WebOptions,
    pipeline: Pipeline,
    source: FrameSource,
    *,
    summary: RunSummary,
    saving: SavingSwitch | None,
    model: str | None,
    open_model: Callable[[str | None], Rectifier],
    limits: ModelLimits,
) -> WebView | None:
    """The web view that the options ask for, if they do; it serves once it is entered.

    Args:
        options: the options.
        pipeline: of the run.
        source: of the run.
        summary: of the run.
        saving: what the page's button switches.
        model: of the run, by file or name.
        open_model: opens a model, by file or name, as the run wants it.
        limits: how much such a file may unpack to.

    Raises:
        UsageError: if the address needs a token.
        ModelFileError: if a model to choose from cannot be used.
        StnRectifyError: if the address cannot be listened at, or the extra is not installed.
    """
    if options.serve is None:
        return None
    return WebView(
        pipeline,
        source,
        options.serve,
        token=options.token or os.environ.get(TOKEN_VARIABLE) or None,
        summary=summary,
        saving=saving,
        models=_models(model, pipeline, options.serve_models or (), open_model, limits),
    )


def _models(
    own: str | None,
    pipeline: Pipeline,
    others: Sequence[str],
    open_model: Callable[[str | None], Rectifier],
    limits: ModelLimits,
) -> Mapping[str, Callable[[], Rectifier]]:
    """Names as the page shows them; where two files have the same, the whole path."""
    first = pipeline.rectifier.model.metadata.name
    models: dict[str, Callable[[], Rectifier]] = {first: partial(open_model, own)}
    for model in others:
        if model not in (own, first):
            ModelFile.open(model, limits=limits)  # what is misspelt shall not come to light in the page
            name = Path(model).stem if Path(model).stem not in models else model
            models[name] = partial(open_model, model)
    return models
