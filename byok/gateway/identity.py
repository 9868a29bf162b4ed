"""Who calls, and with which vendor key: checked against the accounts through a short memory."""

import asyncio
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from byok.accounts import allowed_models, budgets, key_vault, users
from byok.accounts.access_tokens import Grant
from byok.accounts.database import Database
from byok.accounts.errors import AccountsUnavailable, VendorKeyUnreadable
from byok.accounts.identify import identify
from byok.accounts.key_vault import Secret
from byok.errors import ByokError, Unauthorized, VendorKeyMissing
from byok.gateway.remembered import Remembered
from byok.gateway.sent import Sent

THREADS = 4
NAMES_EVERY_S = 3.0
REFUSED_S = 2.0  # how long a token that was refused is not looked up again
_LOOKS = 3  # at a vendor key: a rotation of the master key may come between the look at the one and at the other


class Accounts(Protocol):
    """What the gateway needs of an opened installation; `byok.services.Services` is one. Opening may fail, and is tried again."""

    @property
    def db(self) -> Database: ...
    @property
    def master(self) -> bytes: ...
    @property
    def jwt_secret(self) -> bytes: ...


class Identity:
    """Checks credentials and picks vendor keys; what was found is remembered for less than 5 s (see `remembered`)."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="accounts")
        self._users: Remembered[bytes, Grant] = Remembered(self._pool, no_s=REFUSED_S)
        self._keys: Remembered[tuple[str, str, str | None], tuple[str, Secret]] = Remembered(self._pool)
        self._vendors: Remembered[str, frozenset[str]] = Remembered(self._pool)
        self._refused: set[str] = set()  # keys that carry the mark, as far as is known here
        self._names_due = 0.0
        self.allowed_names: frozenset[str] = frozenset()  # models outside the catalogue that an admin vouches for

    async def grant(self, sent: Sent) -> Grant:
        """The user whose access token or JWT came along, the models it is for, and the user's budgets that are used up.

        Raises `Unauthorized`; `BadRequest` when it is not clear which one counts.
        """
        digest = sent.digest  # the memory holds no token
        if (known := self._users.fresh(digest)) is not None:
            return known
        grant = await self._users.get(digest, lambda: self._identify(sent.credential.decode("ascii")))
        if grant is None:
            raise Unauthorized
        return grant

    async def vendor_key(self, user_id: str, vendor: str, key_id: str | None) -> tuple[str, Secret]:
        """(key id, secret) of the named key, else of the user's default. Raises `VendorKeyMissing`."""
        which = (user_id, vendor, key_id)
        found = self._keys.fresh(which) or await self._keys.get(which, lambda: self._choose(*which))
        if found is None:
            raise VendorKeyMissing(vendor, named=key_id is not None)
        return found

    async def vendors_with_keys(self, user_id: str) -> frozenset[str]:
        """The vendors that the user has stored a key for."""
        return await self._vendors.get(user_id, lambda: self._vendors_of(user_id)) or frozenset()

    def note_outcome(self, key_id: str, status: int) -> None:
        """A 401 marks the key as refused, on the Keys page; the next success takes the mark away. Lost rather than waited for."""
        if status == 401 and key_id.startswith("key_"):
            self._refused.add(key_id)
            self._mark(key_id, datetime.now(UTC))
        elif key_id in self._refused and 200 <= status < 300:
            self._refused.discard(key_id)
            self._mark(key_id, None)

    def _mark(self, key_id: str, refused_at: datetime | None) -> None:
        with suppress(RuntimeError):  # the threads have ended already
            self._pool.submit(lambda: key_vault.note_refused(self._accounts.db, key_id, now=refused_at))

    async def fault(self) -> str | None:
        """Why the accounts cannot be read, or None."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._pool, lambda: users.by_id(self._accounts.db, "usr_nobody"))
        except Exception as error:
            return f"the accounts database cannot be read: {type(error).__name__}"
        return None

    def tend(self) -> None:
        """Once a second: forget what is old, learn which names of models an admin vouches for. Never waits."""
        for memory in (self._users, self._keys, self._vendors):
            memory.forget_old()
        if time.monotonic() >= self._names_due:
            self._names_due = math.inf  # until it is known whether it worked
            self._pool.submit(self._learn_names)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    # -- below: in the pool's threads --

    def _identify(self, credential: str) -> Grant | None:
        now = datetime.now(UTC)
        with _faults_as_unavailable():
            grant = identify(self._accounts.db, self._accounts.jwt_secret, credential, now=now)
            if grant is None:
                return None
            stops = budgets.stops(self._accounts.db, grant.user.id, now=now)
            return replace(grant, stops=stops) if stops else grant

    def _learn_names(self) -> None:
        try:
            self.allowed_names = frozenset(allowed_models.every(self._accounts.db))
        except Exception:  # noqa: S110 - /readyz tells; what was known goes on
            pass
        finally:
            self._names_due = time.monotonic() + NAMES_EVERY_S

    def _choose(self, user_id: str, vendor: str, key_id: str | None) -> tuple[str, Secret] | None:
        with _faults_as_unavailable():
            try:
                found = self._open(user_id, vendor, key_id)
            except VendorKeyMissing:
                return None
            key_vault.note_used(self._accounts.db, found[0], now=datetime.now(UTC))
            marked = key_vault.is_refused(self._accounts.db, found[0])  # maybe by another process, or before the last start
            (self._refused.add if marked else self._refused.discard)(found[0])
            return found

    def _open(self, user_id: str, vendor: str, key_id: str | None) -> tuple[str, Secret]:
        for _ in range(_LOOKS - 1):
            with suppress(VendorKeyUnreadable):
                return key_vault.choose(self._accounts.db, self._accounts.master, user_id, vendor, key_id)
        return key_vault.choose(self._accounts.db, self._accounts.master, user_id, vendor, key_id)

    def _vendors_of(self, user_id: str) -> frozenset[str]:
        with _faults_as_unavailable():
            return frozenset(key.vendor for key in key_vault.of_user(self._accounts.db, user_id))


@contextmanager
def _faults_as_unavailable() -> Iterator[None]:
    """A database driver's error may quote what it was asked: it ends here."""
    try:
        yield
    except ByokError:
        raise
    except Exception as error:
        raise AccountsUnavailable(type(error).__name__) from None
