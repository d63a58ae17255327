"""A run seen in a browser: ``stn-rectify --serve``, or `WebView` in an app. Needs the extra ``web``.

In: processed frames, a summary, the pipeline that buttons change. Out: a page, its streams, /metrics. The run never
waits for a browser.
"""

from stn_rectify.runtime.web.controls import SavingSwitch
from stn_rectify.runtime.web.view import WebView

__all__ = ["SavingSwitch", "WebView"]
