"""A run seen in a browser: ``stn-rectify --serve``, or `WebView` in an app. Needs the extra ``web``."""

from stn_rectify.runtime.web.saving_switch import SavingSwitch
from stn_rectify.runtime.web.view import WebView

__all__ = ["SavingSwitch", "WebView"]
