"""Sign-in, sign-out and setting a password: small pages of our own, because a Streamlit script cannot set an HttpOnly cookie."""

from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from byok import downloads, pages_html, sql_sessions
from byok.accounts import access_tokens, passwords
from byok.accounts.errors import PasswordTooWeak
from byok.accounts.sessions import COOKIE
from byok.accounts.users import User
from byok.address import client_address
from byok.answers import http_fault, internal_fault
from byok.ending_mails import EndingMails
from byok.errors import ByokError, TooManyRequests
from byok.forms import STALE, Forms, local_path, text_of, to
from byok.pool import Pool
from byok.services import Services
from byok.sign_on import SignOn

_WRONG = "That did not match. Check the e-mail and the password, or the token."


def create_signin(services: Services, pool: Pool) -> Starlette:
    """Return the ASGI app of everything below /auth/ that is for people."""
    forms = Forms(services, pool)
    pages, sign_on, mails = SignIn(forms), SignOn(forms), EndingMails(services, pool)
    app = Starlette(
        routes=[
            Route("/auth/sign-in", pages.sign_in_form, methods=["GET"]),
            Route("/auth/sign-in", pages.sign_in, methods=["POST"]),
            Route("/auth/sign-out", pages.sign_out_form, methods=["GET"]),
            Route("/auth/sign-out", pages.sign_out, methods=["POST"]),
            Route("/auth/set-password", pages.set_password_form, methods=["GET"]),
            Route("/auth/set-password", pages.set_password, methods=["POST"]),
            Route("/auth/oidc/start", sign_on.start, methods=["POST"]),
            Route("/auth/oidc/callback", sign_on.callback, methods=["GET"]),
            Route("/auth/oidc/connect", sign_on.connect_form, methods=["GET"]),
            Route("/auth/unsubscribe", mails.ask, methods=["GET"]),
            Route("/auth/unsubscribe", mails.end, methods=["POST"]),
            Route("/auth/style.css", _style, methods=["GET"]),
        ],
        exception_handlers={HTTPException: http_fault, ByokError: pages_html.our_fault, Exception: internal_fault},
    )
    app.router.redirect_slashes = False
    return app


class SignIn:
    """The pages; each takes a request and answers with a page or a redirect."""

    def __init__(self, forms: Forms) -> None:
        self.forms, self.services, self.pool = forms, forms.services, forms.pool

    @property
    def _label(self) -> str:
        """What the button of the sign-in service says; empty if there is none."""
        return self.services.settings.oidc_label if self.services.settings.oidc_issuer else ""

    async def sign_in_form(self, request: Request) -> Response:
        target = local_path(request.query_params.get("next", "/"))
        if await self.forms.signed_in(request):
            return to(target)
        return self._sign_in_page(request, target)

    async def sign_in(self, request: Request) -> Response:
        async with request.form(max_files=0, max_fields=10) as form:
            target = local_path(text_of(form, "next") or "/")
            email, by_token = text_of(form, "email"), "token" in form
            if not self.forms.is_ours(request, form):
                return self._sign_in_page(request, target, status=403, problem=STALE, email=email)
            try:
                user = await self.pool.run(self._who, form, client_address(request.scope, self.services.settings))
            except TooManyRequests as delay:
                headers = {"retry-after": str(delay.retry_after_s)}
                problem = f"{delay.message} {delay.remedy}"
                return self._sign_in_page(request, target, status=429, problem=problem, email=email, by_token=by_token, headers=headers)
        if user is None:
            return self._sign_in_page(request, target, status=401, problem=_WRONG, email=email, by_token=by_token)
        return await self.forms.let_in(request, user, target)

    async def sign_out_form(self, request: Request) -> Response:
        if not await self.forms.signed_in(request):
            return to("/auth/sign-in")
        return self.forms.page(request, "sign_out.html", title="Sign out")

    async def sign_out(self, request: Request) -> Response:
        async with request.form(max_files=0, max_fields=10) as form:
            if not self.forms.is_ours(request, form):
                return self.forms.page(request, "sign_out.html", title="Sign out", status=403)
        user = await self.forms.signed_in(request)
        if user:
            downloads.REGISTRY.forget(user.id)
            sql_sessions.end(self.services, user.id)
        await self.forms.end_session(request)
        answer = to("/auth/sign-in")
        self.forms.set_cookie(answer, request, COOKIE, "", max_age=0)
        return answer

    async def set_password_form(self, request: Request) -> Response:
        return self._password_page(request, request.query_params.get("token", ""))

    async def set_password(self, request: Request) -> Response:
        async with request.form(max_files=0, max_fields=10) as form:
            token, password = text_of(form, "token"), text_of(form, "password")
            if not self.forms.is_ours(request, form):
                return self._password_page(request, token, status=403, problem=STALE)
            if password != text_of(form, "again"):
                return self._password_page(request, token, status=400, problem="The two are not the same.")
        try:
            user = await self.pool.run(passwords.redeem, self.services.db, token, password, now=self.services.now())
        except PasswordTooWeak as weak:
            return self._password_page(request, token, status=400, problem=f"{weak.message} {weak.remedy}")
        except ByokError as fault:  # the link is used, late or none of ours
            said = {"message": fault.message, "remedy": fault.remedy}
            return pages_html.render("notice.html", request.scope, status=fault.status, title="Set a password", kind="bad", said=said)
        return await self.forms.let_in(request, user, "/")

    # -- steps --

    def _who(self, form: FormData, address: str) -> User | None:
        now = self.services.now()
        if "token" in form:
            return access_tokens.verify(self.services.db, text_of(form, "token").strip(), now=now)
        return passwords.check(self.services.db, text_of(form, "email"), text_of(form, "password"), now=now, address=address)

    def _sign_in_page(
        self, request: Request, target: str, *, email: str = "", by_token: bool = False, problem: str = "", **more: Any
    ) -> Response:
        facts = {"next": target, "email": email[:320], "by_token": by_token, "problem": problem, "label": self._label}
        return self.forms.page(request, "sign_in.html", title="Sign in", **facts, **more)

    def _password_page(self, request: Request, token: str, *, problem: str = "", **more: Any) -> Response:
        facts = {"token": token[:200], "problem": problem, "label": self._label}
        return self.forms.page(request, "set_password.html", title="Set a password", **facts, **more)


async def _style(_: Request) -> Response:
    return pages_html.style()
