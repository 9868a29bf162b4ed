"""Deletion of records by filter: what would go, a typed confirmation, a receipt. What is done here is logged."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import streamlit as st
import structlog

from byok import downloads, in_words, services, sql_sessions, zones
from byok.accounts import receipts
from byok.accounts.users import User
from byok.errors import ByokError
from byok.recording.cut import Cut
from byok.retention import Receipt, Retention
from byok.ui import session
from byok.ui.names import Names
from byok.zones import EARLIEST, LATEST

WORD = "delete"
WHEN = ("everything", "before a day", "between two days")
_SAID, _REFUSED, _RECEIPTS = "deletion_said", "deletion_refused", "deletion_receipts"
MOST_RECEIPTS = 50
log = structlog.get_logger("byok.web")


def draw(user: User, whose: User, names: Names, zone: ZoneInfo) -> None:
    """The choice of records of `whose`, how many those are, and the button that deletes them for `user`."""
    _say_what_was_done()
    cut = _choice(whose, names, zone)
    if cut is None:
        st.caption("Choose the day first.")
        return
    rows = _retention().preview_cut(cut, now=session.now())
    if not rows:
        st.markdown("No record matches, so there is nothing to delete.")
        return
    st.markdown(f"**{in_words.plural(rows, 'record')}** would be deleted{_words(cut, names, zone)}.")
    if user.id != whose.id:
        st.error(f"These are the records of {in_words.literal(whose.email)}, not yours.", icon=":material/warning:")
    asked, expected = (f"Type {WORD} to confirm", WORD) if user.id == whose.id else ("Type the user's e-mail to confirm", whose.email)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        typed = st.text_input(asked, key=f"delete-typed-{whose.id}", autocomplete="off", max_chars=254, live=True, width=280)
        st.button(
            f"Delete {in_words.plural(rows, 'record')} for good",
            key="delete-sure",
            type="primary",
            icon=":material/delete_forever:",
            disabled=(typed or "").strip().lower() != expected,
            on_click=_delete,
            args=(user, whose, cut, expected),
        )
    st.caption("From every file, the journal and the caches, at once. Nobody can bring it back. Running calls may take it a few seconds.")


def draw_receipts(user: User) -> None:
    """Receipts of this visit, a look-up by number, and for admins the newest of all. A kept receipt names no user."""
    mine: list[Receipt] = st.session_state.get(_RECEIPTS, [])
    if user.admin:
        found = receipts.latest(services.current().db, MOST_RECEIPTS)
        st.caption("The newest of this installation, for admins. A receipt names no user.")
    else:
        number = st.text_input("Look up a receipt", placeholder="rcp_…", key="receipt-number", max_chars=40, autocomplete="off", width=280)
        looked_up = receipts.find(services.current().db, (number or "").strip())
        if number and not looked_up:
            st.caption("There is no receipt of that number.")
        found = mine + ([looked_up] if looked_up and looked_up not in mine else [])
    if not found:
        st.markdown("No receipt yet.")
        return
    st.dataframe(
        [
            {
                "Receipt": one["receipt"],
                "What": "Past the plan" if one["kind"] == "purge" else "Deleted by hand",
                "Records": one["rows"],
                "Files": one["files"],
                "Took": one["seconds"],
                "At (UTC)": one["at"][:19].replace("T", " "),
            }
            for one in found
        ],
        column_config={
            "Records": st.column_config.NumberColumn(format="localized"),
            "Took": st.column_config.NumberColumn(format="%.1f s"),
        },
        hide_index=True,
        key="receipts",
        alt="Receipts of deletions: number, kind, records, files, duration and time.",
    )


def _choice(whose: User, names: Names, zone: ZoneInfo) -> Cut | None:
    """The records that the widgets name; None while a day is missing. Widgets are named after the user: no choice moves on to the next."""
    when = st.segmented_control("Which records", WHEN, default=WHEN[0], required=True, key=f"delete-when-{whose.id}")
    since, until = EARLIEST, LATEST
    if when == WHEN[1]:
        day = st.date_input("Before", value=None, key=f"delete-before-{whose.id}", format="YYYY-MM-DD", width=180)
        if not isinstance(day, date):
            return None
        until = zones.midnight(day, zone.key)
    elif when == WHEN[2]:
        with st.container(horizontal=True):
            first = st.date_input("First day", value=None, key=f"delete-first-{whose.id}", format="YYYY-MM-DD", width=180)
            last = st.date_input("Last day", value=None, key=f"delete-last-{whose.id}", format="YYYY-MM-DD", width=180)
        if not isinstance(first, date) or not isinstance(last, date):
            return None
        since, until = zones.midnight(first, zone.key), zones.midnight(last + timedelta(days=1), zone.key)
    with st.grid(3, min_column_width=200, gap="small"):
        lists = [
            st.multiselect(label, options, key=f"delete-{label.lower()}-{whose.id}", placeholder="All")
            for label, options in (("Vendor", names.vendors), ("Model", names.models), ("Key", names.key_words))
        ]
    return Cut(whose.id, since, until, tuple(lists[0]), tuple(lists[1]), tuple(names.key_id(word) for word in lists[2]))


def _words(cut: Cut, names: Names, zone: ZoneInfo) -> str:
    """What is chosen, behind the number of records."""
    first, last = cut.since.astimezone(zone), (cut.until - timedelta(microseconds=1)).astimezone(zone) if cut.until != LATEST else None
    when = ""
    if cut.since != EARLIEST and last:
        when = f" of {in_words.day(first, year=True)} to {in_words.day(last, year=True)}"
    elif last:
        when = f" up to and with {in_words.day(last, year=True)}"
    what = [f"`{names.shown(column, value)}`" for column, values in cut.lists.items() for value in values]
    return when + (f", of {', '.join(what)}" if what else "")


def _say_what_was_done() -> None:
    if refused := st.session_state.pop(_REFUSED, None):
        st.error(refused)
    if said := st.session_state.pop(_SAID, None):
        st.success(said, icon=":material/receipt_long:")


def _retention() -> Retention:
    book = services.current()
    return Retention.of(book.settings, book.db)


@session.checked
def _delete(user: User, whose: User, cut: Cut, expected: str) -> None:
    typed = (st.session_state.get(f"delete-typed-{whose.id}") or "").strip().lower()
    if typed != expected or cut.user_id != whose.id or (whose.id != user.id and not user.admin):
        return
    try:
        receipt = _retention().erase_cut(cut, now=session.now())
    except ByokError as error:
        st.session_state[_REFUSED] = f"{error.message} {error.remedy}"
        return
    downloads.REGISTRY.forget(whose.id)
    sql_sessions.end(services.current(), whose.id)
    st.session_state[f"delete-typed-{whose.id}"] = ""
    st.session_state[_RECEIPTS] = [receipt, *st.session_state.get(_RECEIPTS, [])]
    st.session_state[_SAID] = (
        f"Deleted: {in_words.plural(receipt['rows'], 'record')} in {in_words.plural(receipt['files'], 'file')}, "
        f"{receipt['seconds']:.1f} s. Receipt {receipt['receipt']}."
    )
    if whose.id != user.id:
        log.warning("usage_erased_by_admin", user_id=whose.id, rows=receipt["rows"])
