"""How much each vendor key was used lately: its calls day by day."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import streamlit as st

from byok import in_words, services, zones
from byok.accounts.users import User
from byok.errors import ByokError
from byok.store import questions
from byok.store.scope import Scope
from byok.ui import session, sparkline, theme
from byok.zones import LATEST

DAYS = 30


def calls_by_day(user: User) -> Mapping[str, Sequence[int]]:
    """The calls of each key that made any, by local day, the last of them today: as many days as are kept, at most `DAYS`.

    Empty where the records cannot be read: keys are looked after all the same.
    """
    zone, length = session.zone(user), _length(user)
    first = session.now().astimezone(zone).date() - timedelta(days=length - 1)
    scope = Scope(user.id, zones.midnight(first, zone.key), LATEST, tz=zone.key)
    try:
        rows = questions.series(services.current().engine, scope, grain="day", by="key_id").to_pylist()
    except ByokError:
        return {}
    place = {(first + timedelta(days=at)).isoformat(): at for at in range(length)}
    found: dict[str, list[int]] = {}
    for row in rows:
        if row["bucket"] in place:
            found.setdefault(row["key_id"], [0] * length)[place[row["bucket"]]] = row["calls"]
    return found


def draw(user: User, calls: Sequence[int]) -> None:
    """The small chart of one key, and what it comes to."""
    said = f"{in_words.plural(sum(calls), 'call')} in {in_words.plural(_length(user), 'day')}"
    with st.container(width=170, gap=None):
        if calls:
            colour = theme.palette(st.context.theme.type).primary
            sparkline.draw(calls, "bar", colour=colour, alt=f"{said}, at most {in_words.count(max(calls))} on one day.")
        st.caption(said)


def _length(user: User) -> int:
    return min(DAYS, user.retention_days)
