"""Sign-in by a service that speaks OpenID Connect: off to it, and back.

Each round trip belongs to one browser (a cookie), is good once and for ten minutes (a row in the accounts database), and knows what it is
for: signing in, an invitation, or connecting the service to an account that is signed in.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from urllib.parse import urlsplit

import structlog
from starlette.requests import Request
from starlette.responses import Response

from byok import pages_html
from byok.accounts import identities, master_key, passwords
from byok.accounts.errors import AccountDisabled, LinkInvalid, NotInvited
from byok.accounts.identities import Flow
from byok.accounts.users import User
from byok.errors import ByokError, NotFound
from byok.forms import STALE, Forms, local_path, text_of, to
from byok.oidc import Answer, Provider

COOKIE = "byok_sign_on"
CALLBACK = "/auth/oidc/callback"
log = structlog.get_logger("byok.web")


class Denied(ByokError):
    status, code = 403, "sign_on_denied"

    def __init__(self) -> None:
        super().__init__(
            "The sign-in service did not let you in, or you stopped there.", remedy="Begin again, or ask who runs that service."
        )


class Stray(ByokError):
    """An answer that nobody here asked for, or not any more."""

    status, code = 403, "sign_on_stray"

    def __init__(self, dashboard: str) -> None:
        super().__init__(
            "This sign-in was begun in another browser, took longer than ten minutes, or was used already.",
            remedy=f"Begin again, at {dashboard}",
        )


class SignOn:
    """The routes below /auth/oidc/; each takes a request and answers with a page or a redirect."""

    def __init__(self, forms: Forms) -> None:
        self.forms, self.services, self.pool = forms, forms.services, forms.pool
        self._provider: Provider | None = None

    @property
    def provider(self) -> Provider:
        settings = self.services.settings
        if not settings.oidc_issuer:
            raise NotFound("There is no sign-in service here.", remedy="Sign in with your password or an access token.")
        if self._provider is None or self._provider.settings is not settings:
            self._provider = Provider(settings)
        return self._provider

    async def start(self, request: Request) -> Response:
        """Leave for the service. A page that goes on by itself, for a form must not redirect to where its page's policy does not know."""
        async with request.form(max_files=0, max_fields=10) as form:
            if not self.forms.is_ours(request, form):
                return self._notice(request, 403, STALE, "Go back and reload the page.")
            target, link, connects = local_path(text_of(form, "next") or "/"), text_of(form, "link"), "connect" in form
        try:
            return await self._leave(request, target, link, connects=connects)
        except ByokError as fault:
            return self._refused(request, fault)

    async def callback(self, request: Request) -> Response:
        """Back from the service. Whatever comes of it, the round trip is over."""
        mark, target = _opened(request.cookies.get(COOKIE, ""))
        try:
            answer = await self._arrive(request, mark, target)
        except ByokError as fault:
            answer = self._refused(request, fault)
        self.forms.set_cookie(answer, request, COOKIE, "", max_age=0)
        return answer

    async def connect_form(self, request: Request) -> Response:
        """Asks before an account that is signed in is connected: a link alone must not do it."""
        if await self.forms.signed_in(request) is None:
            return to("/auth/sign-in?next=/account")
        if not self.services.settings.oidc_issuer:
            return to("/account")
        return self.forms.page(request, "connect.html", title="Connect", label=self.services.settings.oidc_label)

    # -- steps --

    async def _leave(self, request: Request, target: str, link: str, *, connects: bool) -> Response:
        flow = await self._purpose(request, link, connects=connects)
        state, mark = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        nonce, verifier = self._derived("nonce", state, mark), self._derived("verifier", state, mark)
        address = await self.provider.address(redirect_uri=self._callback_address, state=state, nonce=nonce, verifier=verifier)
        await self.pool.run(
            identities.begin,
            self.services.db,
            f"{state}.{mark}",
            now=self.services.now(),
            user_id=flow.user_id,
            link_hash=flow.link_hash,
        )
        host = urlsplit(address).netloc
        answer = pages_html.render("leaving.html", request.scope, title="One moment", address=address, host=host)
        self.forms.set_cookie(answer, request, COOKIE, _sealed(mark, target), max_age=int(identities.FLOW_TTL.total_seconds()))
        return answer

    async def _purpose(self, request: Request, link: str, *, connects: bool) -> Flow:
        if connects:
            user = await self.forms.signed_in(request)
            if user is None:
                raise Stray(self.services.settings.dashboard_url)
            return Flow(user.id, None)
        if link:
            hashed = passwords.link_hash(link)
            owner = await self.pool.run(self._link_owner, hashed)
            if owner is None:
                raise LinkInvalid
            return Flow(owner.id, hashed)
        return Flow(None, None)

    def _link_owner(self, hashed: str) -> User | None:
        with self.services.db.reading() as connection:
            return passwords.link_owner(connection, hashed, self.services.now())

    async def _arrive(self, request: Request, mark: str, target: str) -> Response:
        said = request.query_params
        state, code = said.get("state", ""), said.get("code", "")
        provider, now = self.provider, self.services.now()
        flow = await self.pool.run(identities.take, self.services.db, f"{state}.{mark}", now=now) if state and mark else None
        if flow is None:
            raise Stray(self.services.settings.dashboard_url)
        await provider.check_issuer(said.get("iss"))
        if "error" in said or not code:
            raise Denied
        nonce, verifier = self._derived("nonce", state, mark), self._derived("verifier", state, mark)
        answer = await provider.redeem(code, redirect_uri=self._callback_address, verifier=verifier, nonce=nonce, now=now)
        if flow.user_id is not None and flow.link_hash is None:
            return await self._connect(request, flow.user_id, answer)
        user = await self._who(flow, answer)
        if user.disabled:
            raise AccountDisabled
        return await self.forms.let_in(request, user, target)

    async def _connect(self, request: Request, user_id: str, answer: Answer) -> Response:
        user = await self.forms.signed_in(request)
        if user is None or user.id != user_id:  # signed out, or somebody else's browser by now
            raise Stray(self.services.settings.dashboard_url)
        await self.pool.run(identities.connect, self.services.db, answer.identity, user_id, now=self.services.now())
        log.info("sign_on_connected", user_id=user_id)
        return to("/account")

    async def _who(self, flow: Flow, answer: Answer) -> User:
        db, who, now = self.services.db, answer.identity, self.services.now()
        if flow.link_hash is not None:
            return await self.pool.run(identities.connect_by_link, db, who, flow.link_hash, now=now)
        known = await self.pool.run(identities.find, db, who)
        if known is not None:
            return known
        settings = self.services.settings
        if settings.oidc_join != "anyone":
            raise NotInvited
        email = await self.provider.email(answer)
        if settings.oidc_domains and email.rpartition("@")[2].lower() not in _domains(settings.oidc_domains):
            raise NotInvited
        made = await self.pool.run(identities.join, db, who, email=email, plan=settings.oidc_plan, now=now)
        log.warning("user_joined", user_id=made.id, plan=made.plan)
        return made

    # -- words and secrets --

    @property
    def _callback_address(self) -> str:
        return callback_address(self.services.settings.dashboard_url)

    def _derived(self, purpose: str, state: str, mark: str) -> str:
        """Nonce and verifier of a round trip: nothing of them need be kept, and nobody without the master key can know them."""
        key = master_key.subkey(self.services.master, "sign-on")
        made = hmac.new(key, f"{purpose}.{state}.{mark}".encode(errors="surrogatepass"), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(made).rstrip(b"=").decode()

    def _refused(self, request: Request, fault: ByokError) -> Response:
        log.warning("sign_on_failed", code=fault.code, reason=getattr(fault, "why", None))
        return self._notice(request, fault.status, fault.message, fault.remedy)

    def _notice(self, request: Request, status: int, message: str, remedy: str) -> Response:
        said = {"message": message, "remedy": remedy}
        return pages_html.render("notice.html", request.scope, status=status, title="Sign in", kind="bad", said=said)


def callback_address(dashboard: str) -> str:
    """The address that the service must be told to send people back to."""
    return f"{dashboard}{CALLBACK}"


def _domains(text: str) -> set[str]:
    return {one.strip().lower().removeprefix("@") for one in text.split(",") if one.strip()}


def _sealed(mark: str, target: str) -> str:
    return f"{mark}.{base64.urlsafe_b64encode(target.encode()).rstrip(b'=').decode()}"


def _opened(cookie: str) -> tuple[str, str]:
    """Mark and target of the cookie. The browser may have changed either: then the mark fits nothing, and the target is checked anew."""
    mark, _, coded = cookie[:4000].partition(".")
    try:
        target = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()
    except (binascii.Error, ValueError):
        target = "/"
    return mark, local_path(target)
