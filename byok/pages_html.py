"""The few pages of our own beside the dashboard (sign-in, API): Jinja templates that look like it and load nothing from elsewhere."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

from byok.address import header
from byok.answers import Internal, error
from byok.errors import ByokError

_TEMPLATES = Path(__file__).parent / "templates"
_POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": _POLICY,
    "referrer-policy": "same-origin",  # addresses may hold a secret; under no-referrer a form's origin is "null"
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


@cache
def _environment() -> Environment:
    return Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=select_autoescape(default=True), undefined=StrictUndefined)


@cache
def stylesheet() -> tuple[str, str]:
    """The style of all pages and the address that names this very version of it."""
    text = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    return text, f"/auth/style.css?v={hashlib.sha256(text.encode()).hexdigest()[:12]}"


def style() -> Response:
    """The style sheet as an answer, which browsers may keep: another version has another address."""
    return Response(
        stylesheet()[0], media_type="text/css", headers={"cache-control": "public, max-age=86400", "x-content-type-options": "nosniff"}
    )


def render(
    template: str, scope: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None, **facts: Any
) -> HTMLResponse:
    """A page as an answer; every fact is escaped."""
    text = _environment().get_template(template).render(style=stylesheet()[1], here=scope["path"], **facts)
    return HTMLResponse(text, status, {**HEADERS, **(headers or {})})


def fault(said: ByokError, scope: Scope) -> Response:
    """What went wrong: a page for a browser, which tries again by itself where that may help, and JSON for a program."""
    if "text/html" not in header(scope, b"accept"):
        return error(said)
    away = said.status == 503
    facts = {"title": "Not available just now" if away else "That did not work", "said": said}
    headers = {"retry-after": "5"} if away else {}
    return render("fault.html", scope, status=said.status, headers=headers, again=away and scope["method"] == "GET", **facts)


async def our_fault(request: Request, said: Exception) -> Response:
    """Starlette's handler for `ByokError` where people look."""
    return fault(said if isinstance(said, ByokError) else Internal(), request.scope)
