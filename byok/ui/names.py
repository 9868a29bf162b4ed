"""The names one can filter by, and the colour of each: vendors, models, keys, statuses and, for admins, people."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import streamlit as st

from byok import services
from byok.accounts import key_vault, users
from byok.accounts.key_vault import VendorKey
from byok.accounts.plans import keep_after
from byok.accounts.users import User
from byok.store import questions
from byok.store.scope import AnyScope, EveryonesScope, Scope
from byok.ui import theme
from byok.ui.theme import Looks
from byok.usage import PASSTHROUGH_KEY
from byok.zones import LATEST

FRESH_S = 30
FRESH_FOR_ADMINS_S = 60
_TOGETHER = (("vendor", "model", "status"), ("key_id",))  # sums that the store remembers have no keys
EVERYONE = "everyone"  # no user's word, since those hold an @ or are ids


@dataclass(frozen=True)
class Person:
    """What the bar knows of a user: the word in the address, and how many days the plan keeps."""

    word: str
    retention_days: int


@dataclass(frozen=True)
class Names:
    """Names of what one user, or everyone, has called, each kind largest first.

    A key is shown by a word (label and last four), never by its id where it has one. `people` is empty but for admins.
    """

    vendors: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)  # key id -> word, largest first
    people: Mapping[str, Person] = field(default_factory=dict)  # user id -> person, by e-mail

    @property
    def key_words(self) -> tuple[str, ...]:
        return tuple(self.words.values())

    @property
    def person_words(self) -> tuple[str, ...]:
        return tuple(person.word for person in self.people.values())

    def key_id(self, word: str) -> str:
        """The id behind a word; an unknown word stands for itself, so that a link may also name the id."""
        return next((key_id for key_id, known in self.words.items() if known == word), word)

    def person_id(self, word: str) -> str | None:
        """The id behind a person's word or id; None for nobody."""
        return next((user_id for user_id, person in self.people.items() if word in (person.word, user_id)), None)

    def shown(self, column: str, value: str) -> str:
        """How a stored value is written on a page."""
        if column == "key_id":
            return self.words.get(value, value)
        return self.people[value].word if column == "user_id" and value in self.people else value

    def looks(self, column: str, also: Iterable[str] = ()) -> Looks:
        """The fixed looks of one kind; `also` are stored values that may be younger than these names."""
        known = {
            "vendor": self.vendors,
            "model": self.models,
            "key_id": tuple(self.words),
            "status": self.statuses,
            "user_id": tuple(self.people),
        }
        return theme.looks([*known[column], *also])


def names_of(user: User, *, everyone: bool = False) -> Names:
    """Names as of at most `FRESH_S` seconds ago. `everyone`: of all users' calls (asked for by admins only, and somewhat older)."""
    people = _people() if user.admin else {}
    if everyone and user.admin:
        seen = _seen_of_everyone()
        keys = key_vault.of_everyone(services.current().db)
    else:
        seen = _seen(user.id, user.retention_days)
        keys = key_vault.of_user(services.current().db, user.id)
    return Names(
        vendors=seen["vendor"],
        models=seen["model"],
        statuses=tuple(sorted(seen["status"])),
        words=key_words(seen["key_id"], keys),
        people=people,
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


def person_words(everyone: Iterable[tuple[str, str]]) -> dict[str, str]:
    """A word for each (user id, e-mail), in their order: the e-mail's name where only one has it, else the whole.

    >>> person_words([("usr_a", "ada@lab.example"), ("usr_b", "bob@lab.example"), ("usr_c", "bob@shop.example")])
    {'usr_a': 'ada', 'usr_b': 'bob@lab.example', 'usr_c': 'bob@shop.example'}
    """
    pairs = list(everyone)
    count = Counter(email.partition("@")[0] for _, email in pairs)
    return {
        user_id: name if count[name := email.partition("@")[0]] == 1 and name != EVERYONE and not name.startswith("usr_") else email
        for user_id, email in pairs
    }


def _word(key: VendorKey) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", key.label or key.vendor).strip("-") or key.vendor
    return f"{name}-{re.sub(r'[^A-Za-z0-9]', '', key.last_four)}"


@st.cache_data(ttl=FRESH_S, max_entries=512, show_spinner=False)
def _seen(user_id: str, retention_days: int) -> dict[str, tuple[str, ...]]:
    """Stored values by column, largest first. The cache is shared by all sessions, hence the user's id in its key."""
    kept_since = keep_after(retention_days, services.current().now())
    # By whole hours: an answer that holds as long as nothing is booked.
    since = kept_since.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    return _values(Scope(user_id=user_id, since=since, until=LATEST))


@st.cache_data(ttl=FRESH_FOR_ADMINS_S, max_entries=1, show_spinner=False)
def _seen_of_everyone() -> dict[str, tuple[str, ...]]:
    """The same of all users: `names_of` lets only admins get here."""
    book = services.current()
    longest = max(users.retention(book.db).values(), default=1)
    return _values(EveryonesScope(since=keep_after(longest, book.now()), until=LATEST))


@st.cache_data(ttl=FRESH_S, max_entries=1, show_spinner=False)
def _people() -> dict[str, Person]:
    """Everyone by e-mail: for admins only."""
    found = users.all_users(services.current().db)
    words = person_words((user.id, user.email) for user in found)
    return {user.id: Person(words[user.id], user.retention_days) for user in found}


def _values(scope: AnyScope) -> dict[str, tuple[str, ...]]:
    engine = services.current().engine
    answers = [(columns, questions.usage(engine, scope, group_by=columns).rows) for columns in _TOGETHER]
    return {column: _largest_first(rows, column) for columns, rows in answers for column in columns}


def _largest_first(rows: Iterable[dict[str, Any]], column: str) -> tuple[str, ...]:
    tokens: Counter[str] = Counter()
    for row in rows:
        tokens[str(row[column])] += row["total_tokens"] or 0
    return tuple(sorted(tokens, key=lambda value: (-tokens[value], value)))
