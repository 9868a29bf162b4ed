"""One-time download links for the dashboard: Streamlit's own can be fetched by anyone who has the address.

A page offers an export; the browser fetches it once, within a minute, with the session cookie of the same user. Nothing is written to disk.
"""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa

from byok.store.scope import EveryonesScope, Scope

VALID = timedelta(seconds=60)
_MOST = 1_000  # links waiting at once; the oldest give way
_MOST_ANSWERS, _MOST_ANSWERS_OF_ONE = 40, 4  # of those that hold their rows, at most 8 MB each


@dataclass(frozen=True)
class Offer:
    """What a link stands for: whose it is, and the export that it streams, or the answer that was shown."""

    user_id: str
    scope: Scope | EveryonesScope | None
    format: str  # csv, json, jsonl or parquet
    filename: str
    until: datetime
    answer: pa.Table | None = None
    admins_only: bool = False
    group_by: tuple[str, ...] = ()  # sums by these columns instead of the records
    priced: bool = False


@dataclass
class Progress:
    """How far a download has come. `over` says that it ended, `whole` that it did so with the last row."""

    user_id: str
    rows: int = 0
    over: bool = False
    whole: bool = False

    def counting(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The same batches, counted as they pass."""
        try:
            for batch in batches:
                self.rows += batch.num_rows
                yield batch
            self.whole = True
        finally:
            self.over = True


class Registry:
    """The links of one process, in memory: bounded, and gone with it."""

    def __init__(self) -> None:
        self._offers: OrderedDict[str, Offer] = OrderedDict()
        self._under_way: OrderedDict[str, Progress] = OrderedDict()
        self._lock = threading.Lock()

    def offer(self, offer: Offer) -> str:
        link = secrets.token_urlsafe(32)
        with self._lock:
            self._offers[link] = offer
            if offer.answer is not None:
                self._drop_answers(offer)
            while len(self._offers) > _MOST:
                self._offers.popitem(last=False)
        return link

    def _drop_answers(self, newest: Offer) -> None:
        """Answers hold memory: the late ones go, and the oldest beyond a few."""
        held = {link: offer for link, offer in self._offers.items() if offer.answer is not None}
        late = [link for link, offer in held.items() if offer.until <= newest.until - VALID]
        own = [link for link, offer in held.items() if offer.user_id == newest.user_id]
        for link in {*late, *own[:-_MOST_ANSWERS_OF_ONE], *list(held)[:-_MOST_ANSWERS]}:
            del self._offers[link]

    def take(self, link: str, user_id: str, *, now: datetime) -> Offer | None:
        """The offer behind a link, once; None for a used, late or unknown link and for another user's, which stays theirs."""
        with self._lock:
            offer = self._offers.get(link)
            if offer is None or offer.user_id != user_id:
                return None
            del self._offers[link]
        return offer if now < offer.until else None

    def begin(self, link: str, user_id: str) -> Progress:
        """Note that a link was taken and its download begins."""
        with self._lock:
            found = self._under_way[link] = Progress(user_id)
            while len(self._under_way) > _MOST:
                self._under_way.popitem(last=False)
        return found

    def progress(self, link: str, user_id: str) -> Progress | None:
        """How far the download of a link has come; None if it has not begun, is forgotten, or is another user's."""
        found = self._under_way.get(link)
        return found if found and found.user_id == user_id else None

    def forget(self, user_id: str) -> None:
        """Drop a user's links: after sign-out and erasure."""
        with self._lock:
            for link in [link for link, progress in self._under_way.items() if progress.user_id == user_id]:
                del self._under_way[link]
            for link in [link for link, offer in self._offers.items() if offer.user_id == user_id]:
                del self._offers[link]


REGISTRY = Registry()


def offer(
    user_id: str,
    content: Scope | EveryonesScope | pa.Table,
    format: str,
    filename: str,
    *,
    now: datetime,
    admins_only: bool = False,
    group_by: tuple[str, ...] = (),
    priced: bool = False,
) -> str:
    """Return the relative address of a one-time download, good for `VALID`: the records of a scope, or an answer (not as jsonl).

    `admins_only`: an answer about others, which only an admin may still fetch then (with the records of everyone that goes without saying).

    `priced` adds the cost to each record; with `group_by` the file holds the sums by these columns, with cost.

    >>> downloads.offer(user.id, scope, "csv", "usage-2026-11.csv", now=services.now())
    '/download/5xK…'
    """
    scope, answer = (None, content) if isinstance(content, pa.Table) else (content, None)
    admins_only = admins_only or isinstance(scope, EveryonesScope)
    link = REGISTRY.offer(Offer(user_id, scope, format, filename, now + VALID, answer, admins_only, group_by, priced))
    return f"/download/{link}"
