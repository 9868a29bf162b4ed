"""The System page's parts, for admins: freshness, store, journal, keeper, prices, disk, and what `byok doctor` finds."""

import os
import platform
from datetime import datetime, timedelta
from importlib import metadata

import streamlit as st

import byok
from byok import condition, in_words, services
from byok.accounts.users import User
from byok.condition import Condition
from byok.doctor import Finding
from byok.store import questions
from byok.ui import losses, session

REFRESH = timedelta(seconds=10)
_FOUND, _FOUND_AT = "doctor_found", "doctor_found_at"
_PACKAGES = ("duckdb", "deltalake", "streamlit")


@st.fragment(run_every=REFRESH)
def standing(admin: User) -> None:
    """Cards that renew themselves, and what is wrong at a glance."""
    session.still(admin)
    book = services.current()
    now, found = session.now(), condition.condition(book)
    lost = losses.lost(book.settings.gateway_here)
    _faults(found, lost)
    age = in_words.ago(now - found.newest) if found.newest else in_words.DASH
    with st.grid(4, min_column_width=165, gap="small"):
        _card("Newest record", age, "Of all users. Every answer reaches up to it.")
        rows, pending = in_words.count(found.rows), in_words.count(found.pending)
        _card("Records", in_words.short(found.rows), f"{rows}, those past retention but not yet purged included.")
        _card("Waiting in the journal", pending, "Visible already, and not yet in Parquet. The keeper publishes them.")
        _card("Keeper", "runs" if found.keeper else "does not run", "Whether a process holds the keeper's lock of this data directory.")
    with st.grid(4, min_column_width=165, gap="small"):
        _card("Usage files", in_words.size(found.usage_bytes), f"{in_words.plural(found.files, 'file')}; {_per_record(found)}.")
        _card("Journal", in_words.size(found.journal_bytes), in_words.plural(found.segments, "segment") + ".")
        _card("Accounts", _accounts(found), "The database of users, keys and tokens; vendor keys lie in it encrypted.")
        _card("Free disk", in_words.size(found.free_bytes), f"Of {in_words.size(found.disk_bytes)}.")
    with st.grid(4, min_column_width=165, gap="small"):
        _card("Lost records", in_words.count(lost), "Calls that were answered but could not be recorded, since the gateway started.")
        _card("Damaged files", in_words.count(len(found.broken_files)), ", ".join(found.broken_files[:3]) or "Every file can be read.")
        lines = found.quarantined_lines + found.bad_lines
        _card("Damaged lines", in_words.count(lines), "Journal lines that were set aside, because their checksum is wrong.")
        _card("Last purge", _purged(found, now), "The keeper deletes what plans stop keeping; most runs find nothing.")


def files() -> None:
    """The usage table month by month."""
    months = condition.condition(services.current()).months
    if not months:
        st.markdown("No usage file yet: the keeper makes the first a few seconds after the first call.")
        return
    st.dataframe(
        [
            {"Month": m.month, "Records": m.rows, "Files": m.files, "Size": m.bytes, "Bytes a record": round(m.bytes / m.rows, 1)}
            for m in months
        ],
        column_config={
            "Records": st.column_config.NumberColumn(format="localized"),
            "Size": st.column_config.NumberColumn(format="bytes"),
            "Bytes a record": st.column_config.NumberColumn(format="%.1f", help="In small files more of it is overhead."),
        },
        hide_index=True,
        height="content" if len(months) <= 13 else 460,
        key="usage-files",
        alt="Usage files by month: records, files, size and bytes a record.",
    )


def prices() -> None:
    """How many models have one, and of when the newest is."""
    book, today = services.current(), session.now().date()
    priced = len(questions.price_list(book.engine))
    dated = [price.since for model in book.engine.catalogue.models() for price in model.prices if price.since and price.since <= today]
    newest = f"; the newest price is dated {max(dated):%Y-%m-%d}" if dated else ""
    st.markdown(f"{in_words.plural(priced, 'model')} with a price{newest}.")
    st.caption("`byok prices list` names each with its source; `byok prices check` compares them with those of the package genai-prices.")


def versions() -> None:
    """What runs here."""
    parts = [f"BYOK {byok.__version__}", f"Python {platform.python_version()}", *(f"{name} {metadata.version(name)}" for name in _PACKAGES)]
    st.markdown(" · ".join(parts))


def checks(admin: User) -> None:
    """`byok doctor` at a click, since it reads every file."""
    st.button("Examine now", icon=":material/stethoscope:", on_click=_examine, args=(admin,), key="examine")
    found: list[Finding] | None = st.session_state.get(_FOUND)
    if found is None:
        st.caption("Looks at settings, keys, clock, disk, accounts, every usage file, the journal and the ports. Changes nothing.")
        return
    faults = sum(not one.ok for one in found)
    at = st.session_state[_FOUND_AT].astimezone(session.zone(admin))
    st.markdown(f"**{in_words.plural(faults, 'fault') if faults else 'No fault'}** at {at:%H:%M:%S}.")
    st.dataframe(
        [
            {
                "State": "well" if one.ok else "FAULT",
                "What": one.what,
                "Found": one.said,
                "Remedy": one.remedy,
            }
            for one in sorted(found, key=lambda one: one.ok)
        ],
        column_config={"Found": st.column_config.TextColumn(width="large"), "Remedy": st.column_config.TextColumn(width="large")},
        hide_index=True,
        height="content",
        key="findings",
        alt="What was looked at, what was found, and the remedy of each fault.",
    )


def _faults(found: Condition, lost: int) -> None:
    if not found.keeper:
        st.error("No keeper runs: nothing is published, purged or sent. Start it: `byok keeper` (or `byok up`).", icon=":material/error:")
    if found.broken_files:
        broken = in_words.plural(len(found.broken_files), "usage file")
        st.error(f"{broken} cannot be read: every answer lacks their rows.", icon=":material/error:")
    if lost:
        calls = in_words.plural(lost, "call")
        st.error(f"{calls} could not be recorded. Is the disk full, or `data/journal` not writable?", icon=":material/error:")
    if found.deletion_pending:
        st.warning("A deletion was begun and is not finished yet; the keeper does that within a minute.", icon=":material/hourglass_empty:")


def _card(label: str, value: str, help: str) -> None:
    st.metric(label, value, border=True, height="stretch", help=help)


def _per_record(found: Condition) -> str:
    published = found.rows - found.pending
    return f"{found.usage_bytes / published:.1f} bytes a record" if published else "no record yet"


def _accounts(found: Condition) -> str:
    return "on a server" if found.accounts_bytes is None else in_words.size(found.accounts_bytes)


def _purged(found: Condition, now: datetime) -> str:
    return in_words.ago(now - datetime.fromisoformat(found.last_purge)) if found.last_purge else in_words.DASH


@session.checked_admin
def _examine(_admin: User) -> None:
    book = services.current()
    st.session_state[_FOUND] = condition.findings(book.settings, os.environ, now=session.now())
    st.session_state[_FOUND_AT] = session.now()
