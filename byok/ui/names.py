"""The names a user can filter by, and the colour of each: vendors, models, keys and statuses of all that the plan keeps."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import streamlit as st

from byok import services
from byok.accounts import key_vault
from byok.accounts.key_vault import VendorKey
from byok.accounts.plans import keep_after
from byok.accounts.users import User
from byok.store import questions
from byok.store.scope import Scope
from byok.ui import theme
from byok.ui.theme import Looks
from byok.usage import PASSTHROUGH_KEY

FRESH_S = 10


@dataclass(frozen=True)
class Names:
    """Names of one user, each kind largest first. A key is shown by a word (label and last four), never by its id where it has one."""

    vendors: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)  # key id -> word, largest first

    @property
    def key_words(self) -> tuple[str, ...]:
        return tuple(self.words.values())

    def key_id(self, word: str) -> str:
        """The id behind a word; an unknown word stands for itself, so that a link may also name the id."""
        return next((key_id for key_id, known in self.words.items() if known == word), word)

    def shown(self, column: str, value: str) -> str:
        """How a stored value is written on a page."""
        return self.words.get(value, value) if column == "key_id" else value

    def looks(self, column: str, also: Iterable[str] = ()) -> Looks:
        """The fixed looks of one kind; `also` are stored values that may be younger than these names."""
        known = {"vendor": self.vendors, "model": self.models, "key_id": tuple(self.words)}[column]
        return theme.looks([*known, *also])


def names_of(user: User) -> Names:
    """Names as of at most `FRESH_S` seconds ago."""
    seen = _seen(user.id, user.retention_days)
    return Names(
        vendors=seen["vendor"],
        models=seen["model"],
        statuses=tuple(sorted(seen["status"])),
        words=key_words(seen["key_id"], key_vault.of_user(services.current().db, user.id)),
    )


def key_words(used: Iterable[str], keys: Iterable[VendorKey]) -> dict[str, str]:
    """A word for each key id, fit for an address: label (or vendor) and last four; ids of keys that are gone keep their id."""
    stored = {key.id: key for key in keys}
    words: dict[str, str] = {}
    for key_id in dict.fromkeys([*used, *stored]):
        word = _word(stored[key_id]) if key_id in stored else key_id
        if word in words.values():
            word = f"{word}-{key_id[-4:]}"
        words[key_id] = word if key_id != PASSTHROUGH_KEY else PASSTHROUGH_KEY
    return words


def _word(key: VendorKey) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", key.label or key.vendor).strip("-") or key.vendor
    return f"{name}-{re.sub(r'[^A-Za-z0-9]', '', key.last_four)}"


@st.cache_data(ttl=FRESH_S, max_entries=512, show_spinner=False)
def _seen(user_id: str, retention_days: int) -> dict[str, tuple[str, ...]]:
    """Stored values by column, largest first. The cache is shared by all sessions, hence the user's id in its key."""
    book = services.current()
    now = book.now()
    scope = Scope(user_id=user_id, since=keep_after(retention_days, now), until=now)
    return {
        column: tuple(str(row[column]) for row in questions.usage(book.engine, scope, group_by=(column,)).rows)
        for column in ("vendor", "model", "key_id", "status")
    }
