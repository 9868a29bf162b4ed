"""One-time download links for the dashboard: Streamlit's own can be fetched by anyone who has the address.

A page offers an export; the browser fetches it once, within a minute, with the session cookie of the same user. Nothing is written to disk.
"""

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from byok.store.scope import EveryonesScope, Scope

VALID = timedelta(seconds=60)
_MOST = 1_000  # links waiting at once; the oldest give way


@dataclass(frozen=True)
class Offer:
    """What a link stands for: whose it is, and the export that it streams."""

    user_id: str
    scope: Scope | EveryonesScope
    format: str  # csv, json, jsonl or parquet
    filename: str
    until: datetime


class Registry:
    """The links of one process, in memory: bounded, and gone with it."""

    def __init__(self) -> None:
        self._offers: OrderedDict[str, Offer] = OrderedDict()
        self._lock = threading.Lock()

    def offer(self, offer: Offer) -> str:
        link = secrets.token_urlsafe(32)
        with self._lock:
            self._offers[link] = offer
            while len(self._offers) > _MOST:
                self._offers.popitem(last=False)
        return link

    def take(self, link: str, user_id: str, *, now: datetime) -> Offer | None:
        """The offer behind a link, once; None for a used, late or unknown link and for another user's, which stays theirs."""
        with self._lock:
            offer = self._offers.get(link)
            if offer is None or offer.user_id != user_id:
                return None
            del self._offers[link]
        return offer if now < offer.until else None

    def forget(self, user_id: str) -> None:
        """Drop a user's links: after sign-out and erasure."""
        with self._lock:
            for link in [link for link, offer in self._offers.items() if offer.user_id == user_id]:
                del self._offers[link]


REGISTRY = Registry()


def offer(user_id: str, scope: Scope | EveryonesScope, format: str, filename: str, *, now: datetime) -> str:
    """Return the relative address of a one-time download, good for `VALID`.

    >>> downloads.offer(user.id, scope, "csv", "usage-2026-11.csv", now=services.now())
    '/download/5xK…'
    """
    link = REGISTRY.offer(Offer(user_id, scope, format, filename, now + VALID))
    return f"/download/{link}"
