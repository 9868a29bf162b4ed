"""The HTML that every page of the dashboard begins with: Streamlit's own, told where its server is and which scripts a page needs.

Streamlit's script guesses its server's address from that of the page: on every page but the first that is a failed request, a pause
and another request before its socket opens, and only what comes through the socket says which scripts are to be loaded.
"""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

_HEAD = "<head>"
_TABLE = ("DataFrame", "arrowFormatUtils", "serialization")
_BAR = ("ButtonGroup", "Multiselect", "Selectbox", "useSyncComboBoxEnterTargetFocus", "useMenuTrigger")
_CHARTS = ("PlotlyChart", *_BAR, "Metric", *_TABLE)
# Scripts by page, the largest first; each is a file of Streamlit's named so, a dot, and a hash.
SCRIPTS: Mapping[str, Sequence[str]] = {
    "": _CHARTS,
    "explore": _CHARTS,
    "costs": _CHARTS,
    "reliability": _CHARTS,
    "exports": _BAR,
    "sql": _TABLE,
}
_HOST = {
    "useExternalAuthToken": False,
    "enableCustomParentMessages": False,
    "enforceDownloadInNewTab": False,
    "blockErrorDialogs": False,
    "metricsUrl": "",
}
# What waits for its turn stands still: drawing a moving picture of it takes from the processor what the page itself needs.
_STYLE = "<style>[data-testid=stSkeleton] {animation: none !important}</style>"
# One step to go back for each gesture that changes the address. Streamlit makes none for a control that somebody moves, and one for each
# control that a click on a chart moves.
_HISTORY = """<script>{
let gesture = false
for (const kind of ['pointerdown', 'keydown']) addEventListener(kind, () => { gesture = true }, true)
addEventListener('popstate', () => { gesture = false }, true)
const push = history.pushState.bind(history), replace = history.replaceState.bind(history)
history.pushState = history.replaceState = (state, unused, url) => {
    const to = new URL(url ?? location.href, location.href)
    const changed = to.search !== location.search
    if (to.pathname !== location.pathname || (gesture && changed)) push(state, unused, url)
    else replace(state, unused, url)
    gesture = false
}
}</script>"""
_SERVER = (
    "<script>window.__streamlit = {BACKEND_BASE_URL: location.origin, "
    f"HOST_CONFIG: Object.assign({json.dumps(_HOST)}, {{allowedOrigins: [location.origin]}})}}</script>"
)


def html(page: str) -> bytes | None:
    """The HTML of a page, by its path in the address; None where Streamlit's own does not look as expected and must do."""
    return _html(page if page in SCRIPTS else None)


@cache
def _html(page: str | None) -> bytes | None:
    found = importlib.util.find_spec("streamlit")
    if found is None or found.origin is None:
        return None
    static = Path(found.origin).parent / "static"
    whole = (static / "index.html").read_text(encoding="utf-8")
    before, head, after = whole.partition(_HEAD)
    if not head:
        return None
    scripts = [
        path.name for stem in (SCRIPTS[page] if page is not None else ()) for path in (static / "static" / "js").glob(f"{stem}.*.js")
    ]
    links = "".join(f'<link rel="modulepreload" crossorigin href="./static/js/{name}">' for name in scripts)
    # At the end of the head: what every page needs is asked for first.
    return f"{before}{head}{_SERVER}{_HISTORY}{_STYLE}{after.replace('</head>', links + '</head>', 1)}".encode()
