"""Sign-in, sign-out and setting a password: small pages of our own, because a Streamlit script cannot set an HttpOnly cookie."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from byok import downloads, pages_html, sql_sessions
from byok.accounts import access_tokens, master_key, passwords, sessions
from byok.accounts.errors import PasswordTooWeak
from byok.accounts.users import User
from byok.address import client_address, is_https, is_same_origin
from byok.answers import http_fault, internal_fault, our_fault
from byok.errors import ByokError, TooManyRequests
from byok.pool import Pool
from byok.services import Services

COOKIE = "byok_session"
FORM_COOKIE = "byok_form"  # ties a form to the browser that asked for it
_ABSOLUTE_S = 30 * 86400  # the session itself decides; the cookie only must not outlive it
_WRONG = "That did not match. Check the e-mail and the password, or the token."
_STALE = "This form was open for too long or came from elsewhere. Please try again."
_LONGEST_NEXT = 2000


def create_signin(services: Services, pool: Pool) -> Starlette:
    """Return the ASGI app of everything below /auth/ that is for people."""
    pages = SignIn(services, pool)
    app = Starlette(
        routes=[
            Route("/auth/sign-in", pages.sign_in_form, methods=["GET"]),
            Route("/auth/sign-in", pages.sign_in, methods=["POST"]),
            Route("/auth/sign-out", pages.sign_out_form, methods=["GET"]),
            Route("/auth/sign-out", pages.sign_out, methods=["POST"]),
            Route("/auth/set-password", pages.set_password_form, methods=["GET"]),
            Route("/auth/set-password", pages.set_password, methods=["POST"]),
            Route("/auth/style.css", _style, methods=["GET"]),
        ],
        exception_handlers={HTTPException: http_fault, ByokError: our_fault, Exception: internal_fault},
    )
    app.router.redirect_slashes = False
    return app


class SignIn:
    """The pages; each takes a request and answers with a page or a redirect."""

    def __init__(self, services: Services, pool: Pool) -> None:
        self.services, self.pool = services, pool

    async def sign_in_form(self, request: Request) -> Response:
        target = local_path(request.query_params.get("next", "/"))
        if await signed_in(request.cookies, self.services, self.pool):
            return _to(target)
        return self._sign_in_page(request, target)

    async def sign_in(self, request: Request) -> Response:
        async with request.form(max_files=0, max_fields=10) as form:
            target = local_path(_text(form, "next") or "/")
            email, by_token = _text(form, "email"), "token" in form
            if not self._is_our_form(request, form):
                return self._sign_in_page(request, target, status=403, problem=_STALE, email=email)
            try:
                user = await self.pool.run(self._who, form, client_address(request.scope))
            except TooManyRequests as delay:
                headers = {"retry-after": str(delay.retry_after_s)}
                problem = f"{delay.message} {delay.remedy}"
                return self._sign_in_page(request, target, status=429, problem=problem, email=email, by_token=by_token, headers=headers)
        if user is None:
            return self._sign_in_page(request, target, status=401, problem=_WRONG, email=email, by_token=by_token)
        return await self._let_in(request, user, target)

    async def sign_out_form(self, request: Request) -> Response:
        if not await signed_in(request.cookies, self.services, self.pool):
            return _to("/auth/sign-in")
        return self._page(request, "sign_out.html", title="Sign out")

    async def sign_out(self, request: Request) -> Response:
        async with request.form(max_files=0, max_fields=10) as form:
            if not self._is_our_form(request, form):
                return self._page(request, "sign_out.html", title="Sign out", status=403)
        user = await signed_in(request.cookies, self.services, self.pool)
        if user:
            downloads.REGISTRY.forget(user.id)
            sql_sessions.end(self.services, user.id)
        await self._end_session(request)
        answer = _to("/auth/sign-in")
        self._set_cookie(answer, request, COOKIE, "", max_age=0)
        return answer

    async def set_password_form(self, request: Request) -> Response:
        return self._password_page(request, request.query_params.get("token", ""))

    async def set_password(self, request: Request) -> Response:
        async with request.form(max_files=0, max_fields=10) as form:
            token, password = _text(form, "token"), _text(form, "password")
            if not self._is_our_form(request, form):
                return self._password_page(request, token, status=403, problem=_STALE)
            if password != _text(form, "again"):
                return self._password_page(request, token, status=400, problem="The two are not the same.")
        try:
            user = await self.pool.run(passwords.redeem, self.services.db, token, password, now=self.services.now())
        except PasswordTooWeak as weak:
            return self._password_page(request, token, status=400, problem=f"{weak.message} {weak.remedy}")
        except ByokError as fault:  # the link is used, late or none of ours
            said = {"message": fault.message, "remedy": fault.remedy}
            return pages_html.render("notice.html", request.scope, status=fault.status, title="Set a password", kind="bad", said=said)
        return await self._let_in(request, user, "/")

    # -- steps --

    def _who(self, form: FormData, address: str) -> User | None:
        now = self.services.now()
        if "token" in form:
            return access_tokens.verify(self.services.db, _text(form, "token").strip(), now=now)
        return passwords.check(self.services.db, _text(form, "email"), _text(form, "password"), now=now, address=address)

    async def _let_in(self, request: Request, user: User, target: str) -> Response:
        await self._end_session(request)  # a new session at each sign-in: one planted beforehand is worth nothing
        secret = await self.pool.run(sessions.start, self.services.db, user.id, now=self.services.now())
        answer = _to(target)
        self._set_cookie(answer, request, COOKIE, secret, max_age=_ABSOLUTE_S)
        self._set_cookie(answer, request, FORM_COOKIE, "", max_age=0)
        return answer

    async def _end_session(self, request: Request) -> None:
        if secret := request.cookies.get(COOKIE):
            await self.pool.run(sessions.end, self.services.db, secret)

    def _sign_in_page(
        self, request: Request, target: str, *, email: str = "", by_token: bool = False, problem: str = "", **more: Any
    ) -> Response:
        facts = {"next": target, "email": email[:320], "by_token": by_token, "problem": problem}
        return self._page(request, "sign_in.html", title="Sign in", **facts, **more)

    def _password_page(self, request: Request, token: str, *, problem: str = "", **more: Any) -> Response:
        return self._page(request, "set_password.html", title="Set a password", token=token[:200], problem=problem, **more)

    def _page(self, request: Request, template: str, **facts: Any) -> Response:
        """A page with a form: its token belongs to this browser (a cookie) and to this installation (a key)."""
        mark = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(24)
        answer = pages_html.render(template, request.scope, csrf=self._form_token(mark), **facts)
        self._set_cookie(answer, request, FORM_COOKIE, mark, max_age=86400)
        return answer

    def _is_our_form(self, request: Request, form: FormData) -> bool:
        mark = request.cookies.get(FORM_COOKIE, "")
        same = hmac.compare_digest(_text(form, "csrf").encode(), self._form_token(mark).encode())
        return bool(mark) and same and is_same_origin(request.scope, self.services.settings)

    def _form_token(self, mark: str) -> str:
        key = master_key.subkey(self.services.master, "csrf")
        return hmac.new(key, mark.encode(), hashlib.sha256).hexdigest()

    def _set_cookie(self, answer: Response, request: Request, name: str, value: str, *, max_age: int) -> None:
        secure = is_https(request.scope, self.services.settings)
        answer.set_cookie(name, value, max_age=max_age, path="/", secure=secure, httponly=True, samesite="lax")


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


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def _to(target: str) -> Response:
    return RedirectResponse(target, 303, headers={"cache-control": "no-store", "referrer-policy": "same-origin"})


async def _style(_: Request) -> Response:
    return pages_html.style()
