"""Forms that belong to the browser which asked for them, and the session cookie: what all sign-in pages share."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from byok import pages_html
from byok.accounts import master_key, sessions
from byok.accounts.sessions import COOKIE
from byok.accounts.users import User
from byok.address import is_https, is_same_origin
from byok.pool import Pool
from byok.services import Services

FORM_COOKIE = "byok_form"  # ties a form to the browser that asked for it
STALE = "This form was open for too long or came from elsewhere. Please try again."
_ABSOLUTE_S = 30 * 86400  # the session itself decides; the cookie only must not outlive it
_LONGEST_NEXT = 2000


class Forms:
    """Pages with forms, their cookies, and the session that a form ends in."""

    def __init__(self, services: Services, pool: Pool) -> None:
        self.services, self.pool = services, pool

    def page(self, request: Request, template: str, **facts: Any) -> Response:
        """A page with a form: its token belongs to this browser (a cookie) and to this installation (a key)."""
        mark = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(24)
        answer = pages_html.render(template, request.scope, csrf=self._token(mark), **facts)
        self.set_cookie(answer, request, FORM_COOKIE, mark, max_age=86400)
        return answer

    def is_ours(self, request: Request, form: FormData) -> bool:
        """Whether this very browser was given the form, by this installation, on a page of ours."""
        mark = request.cookies.get(FORM_COOKIE, "")
        same = hmac.compare_digest(text_of(form, "csrf").encode(), self._token(mark).encode())
        return bool(mark) and same and is_same_origin(request.scope, self.services.settings)

    async def signed_in(self, request: Request) -> User | None:
        return await signed_in(request.cookies, self.services, self.pool)

    async def let_in(self, request: Request, user: User, target: str) -> Response:
        """A new session at each sign-in: one planted beforehand is worth nothing. Raises `UserUnknown` for a disabled user."""
        await self.end_session(request)
        secret = await self.pool.run(sessions.start, self.services.db, user.id, now=self.services.now())
        answer = to(target)
        self.set_cookie(answer, request, COOKIE, secret, max_age=_ABSOLUTE_S)
        self.set_cookie(answer, request, FORM_COOKIE, "", max_age=0)
        return answer

    async def end_session(self, request: Request) -> None:
        if secret := request.cookies.get(COOKIE):
            await self.pool.run(sessions.end, self.services.db, secret)

    def set_cookie(self, answer: Response, request: Request, name: str, value: str, *, max_age: int) -> None:
        secure = is_https(request.scope, self.services.settings)
        answer.set_cookie(name, value, max_age=max_age, path="/", secure=secure, httponly=True, samesite="lax")

    def _token(self, mark: str) -> str:
        key = master_key.subkey(self.services.master, "csrf")
        return hmac.new(key, mark.encode(), hashlib.sha256).hexdigest()


async def signed_in(cookies: Mapping[str, str], services: Services, pool: Pool) -> User | None:
    """The user of the session cookie, if it is one of ours and still good."""
    secret = cookies.get(COOKIE, "")
    if not secret or len(secret) > 200:
        return None
    return await pool.run(sessions.find, services.db, secret, now=services.now())


def local_path(target: str) -> str:
    """Return `target` if it is a path of this site, else "/": whoever made the link must not choose where one lands.

    >>> local_path("/costs?range=7d"), local_path("//evil.example"), local_path("https://evil.example")
    ('/costs?range=7d', '/', '/')
    """
    plain = target.isascii() and target.isprintable() and not set(target) & set('\\ "<>')
    if not plain or len(target) > _LONGEST_NEXT or not target.startswith("/") or target.startswith("//"):
        return "/"
    parts = urlsplit(target)
    if parts.scheme or parts.netloc or parts.path.startswith(("/auth/", "//")):
        return "/"
    return target


def text_of(form: FormData, name: str) -> str:
    """A field of the form; an upload or a field that is missing is an empty text."""
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def to(target: str) -> Response:
    """A redirection (303) that nobody keeps."""
    return RedirectResponse(target, 303, headers={"cache-control": "no-store", "referrer-policy": "same-origin"})
