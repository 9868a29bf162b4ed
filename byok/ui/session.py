"""Who is signed in. Asked at every rerun, of the accounts database: a revoked session ends with the next click."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import wraps
from html import escape
from typing import Concatenate, NoReturn, ParamSpec
from urllib.parse import urlencode, urlsplit
from zoneinfo import ZoneInfo

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from byok import in_words, services
from byok.accounts import access_tokens, passwords, sessions
from byok.accounts.sessions import COOKIE
from byok.accounts.users import User
from byok.errors import ByokError

LOOK = timedelta(seconds=60)
SIGN_IN_ADDRESS = "/auth/sign-in"
SIGN_OUT_ADDRESS = "/auth/sign-out"
P = ParamSpec("P")
_WHOSE = "tab-user"  # the user that this tab's state belongs to; a key that no control has
_OWN = "own_session"  # the session's secret under a bare `streamlit run`, where no route can set a cookie


def now() -> datetime:
    """The instant of this rerun, in UTC."""
    return services.current().now()


def require_user() -> User:
    """Return the signed-in user; without one, show the way to sign in and end the script."""
    user = current_user()
    if user is None:
        show_sign_in()
        st.stop()
    return user


def require_admin() -> User:
    """As `require_user`; anyone who is no admin (any more) is told so, and the script ends."""
    user = require_user()
    if not user.admin:
        st.error("This page is for admins.")
        st.stop()
    return user


def current_user(*, visit: bool = True) -> User | None:
    """The user of the cookie, or of the form below; None if there is none or the session has ended. `visit`: see `sessions.find`."""
    return _current(visit=visit)[0]


def own_session_id() -> str | None:
    """The id of the session that this page is shown in."""
    secret = _current()[1]
    return sessions.id_of(services.current().db, secret) if secret else None


def _current(*, visit: bool = True) -> tuple[User | None, str]:
    book = services.current()
    for secret in (st.context.cookies.get(COOKIE), st.session_state.get(_OWN)):
        if isinstance(secret, str) and (user := sessions.find(book.db, secret, now=book.now(), visit=visit)):
            _keep_apart(user, secret)
            return user, secret
    return None, ""


def _keep_apart(user: User, secret: str) -> None:
    """A tab that connects again brings the state of its former session along, and somebody else may have signed in meanwhile."""
    state = st.session_state
    if state.get(_WHOSE, user.id) != user.id:
        own = _OWN in state
        state.clear()
        if own:
            state[_OWN] = secret
    state[_WHOSE] = user.id


def zone(user: User) -> ZoneInfo:
    """The zone in which times are told to this user."""
    return ZoneInfo(user.tz)


def checked(act: Callable[Concatenate[User, P], None]) -> Callable[Concatenate[User, P], None]:
    """For callbacks: Streamlit runs them before the script, when nobody has asked yet whether the session still holds.

    The first argument is whom the page was drawn for. When that session has ended nothing is done, and the script says so.
    """

    @wraps(act)
    def acting(user: User, /, *args: P.args, **kwargs: P.kwargs) -> None:
        found = current_user()
        if found is not None and found.id == user.id:
            act(found, *args, **kwargs)

    return acting


def checked_admin(act: Callable[Concatenate[User, P], None]) -> Callable[Concatenate[User, P], None]:
    """As `checked`, for what only an admin may do."""

    @checked
    @wraps(act)
    def acting(user: User, /, *args: P.args, **kwargs: P.kwargs) -> None:
        if user.admin:
            act(user, *args, **kwargs)

    return acting


def still(user: User) -> None:
    """For a part of a page that reruns by itself: if the session or an admin's role has ended meanwhile, the whole page runs again."""
    found = current_user(visit=False)
    if found is None or (found.id, found.admin) != (user.id, user.admin):
        st.rerun()


@st.fragment(run_every=LOOK)
def end_in_time(user: User) -> None:
    """A tab that nobody touches shows what it shows no longer than the session lasts, wherever that was ended."""
    still(user)


def stop_at(pages: Sequence[StreamlitPage]) -> NoReturn:
    """Show the way to sign in under the address of whichever of these pages was asked for, and end the script."""
    doors = [st.Page(show_sign_in, title="Sign in", url_path=page.url_path, default=not page.url_path) for page in pages]
    st.navigation(doors, position="hidden").run()
    st.stop()


def show_sign_in() -> None:
    """The way in: a link to the sign-in page, which leads back here, where there is one, else a form of our own."""
    if behind_web():
        st.title("Signed out")
        st.markdown("Your session has ended. Nothing is lost: signing in leads back to this page and its filters.")
        go("Sign in", f"{SIGN_IN_ADDRESS}?{urlencode({'next': _here()})}")
    else:
        _form()


def _here() -> str:
    """This page's address on this site, with every value of every filter."""
    path = urlsplit(st.context.url or "").path or "/"
    asked = urlencode([(word, value) for word in st.query_params for value in st.query_params.get_all(word)])
    return f"{path}?{asked}" if asked else path


def behind_web() -> bool:
    """Whether the routes of `byok web` are there: without them no cookie can be set, and nobody else guards the door."""
    return services.current().behind_web


def account(user: User) -> None:
    """Who is signed in, and the way out."""
    st.text(user.name or user.email)
    st.caption(f"{user.plan.capitalize()} plan · keeps {in_words.plural(user.retention_days, 'day')}")
    if _OWN in st.session_state:
        st.button("Sign out", on_click=_sign_out, icon=":material/logout:", type="tertiary")
    elif behind_web():
        go("Sign out", SIGN_OUT_ADDRESS)


def go(words: str, address: str) -> None:
    """A link that stays in this tab, which Streamlit's own do not."""
    st.html(f'<a href="{escape(address)}" target="_self" style="color: inherit">{escape(words)}</a>')


def _sign_out() -> None:
    sessions.end(services.current().db, st.session_state.pop(_OWN))


def _form() -> None:
    with st.container(horizontal_alignment="center"):
        with st.container(width=420):
            st.title("BYOK")
            st.markdown("Where your tokens and your money go. Never what was said.")
            by_password, by_token = st.tabs(["Password", "Access token"])
            with by_password.form("sign-in", clear_on_submit=False):
                email = st.text_input("E-mail", autocomplete="username", max_chars=254)
                password = st.text_input("Password", type="password", autocomplete="current-password", max_chars=1024)
                sent = st.form_submit_button("Sign in", type="primary", width="stretch")
            with by_token.form("sign-in-token", clear_on_submit=True):
                token = st.text_input("Access token", type="password", autocomplete="off", max_chars=200)
                sent_token = st.form_submit_button("Sign in", type="primary", width="stretch")
            st.caption(
                "This page runs without the routes of `byok web`, so it cannot set a cookie: a reload signs you out. "
                "Start `byok up` for sign-ins that last."
            )
    if sent or sent_token:
        book = services.current()
        try:
            if sent:
                user = passwords.check(book.db, email, password, now=now(), address=st.context.ip_address or "")
            else:
                user = access_tokens.verify(book.db, token.strip(), now=now())
        except ByokError as error:
            st.error(f"{error.message} {error.remedy}")
            return
        if user is None:
            st.error("That did not match. Check the e-mail and the password, or the token.")
            return
        st.session_state[_OWN] = sessions.start(book.db, user.id, now=now())
        st.rerun()
