"""Who may ask in SQL in the dashboard of this installation, and the processes of this web process that answer.

Open to all where the kernel's walls (Landlock, seccomp) stand around such a process. Where they do not, a single user may still ask: the
process holds copies of that user's rows only. With several users the operator decides.
"""

import contextlib
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

from byok.accounts import key_vault, sessions, users
from byok.accounts.users import User
from byok.services import Services
from byok.store import named_columns, sandbox
from byok.store.console import ColumnsMissing, ConsoleResult, Worker, check_size
from byok.store.console_pool import ConsolePool
from byok.store.own_rows import OwnRows

WALLS = ("landlock", "seccomp")
_making = threading.Lock()
_pools: "weakref.WeakKeyDictionary[Services, ConsolePool]" = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Standing:
    """Whether SQL is `open`; a `note` to the user, if there is something to know; `walls` without which a process answers nothing."""

    open: bool
    note: str = ""
    walls: tuple[str, ...] = ()


def standing(services: Services) -> Standing:
    """How it stands with SQL on this installation, just now."""
    chosen = services.settings.sql_console
    if chosen == "off":
        return Standing(False, "The operator of this installation has switched the SQL page off (`BYOK_SQL_CONSOLE=off`).")
    missing = sandbox.missing_walls()
    if not missing:
        return Standing(True, walls=WALLS)
    lacking = f"This system lacks {' and '.join(wall.capitalize() if wall == 'landlock' else wall for wall in missing)}"
    if chosen == "on":
        return Standing(True, f"{lacking}: queries run in a limited process over copies of your rows, and the operator allows that.")
    if sum(not user.disabled for user in users.all_users(services.db)) <= 1:
        return Standing(True, f"{lacking}: queries run in a limited process over copies of your rows. With a second user this page closes.")
    return Standing(
        False,
        f"{lacking}, which keep the SQL of one user away from the rows of others. The operator can open this page all the same with "
        "`BYOK_SQL_CONSOLE=on`, or run a query for you: `byok sql --user EMAIL`.",
    )


def pool(services: Services) -> ConsolePool:
    """The processes of these services; made when first asked for."""
    with _making:
        if services not in _pools:
            _pools[services] = ConsolePool(is_here=_IsHere(services))
        return _pools[services]


def rows_of(services: Services, user: User) -> OwnRows:
    """What the SQL of a user is asked of: the same for the page and for `byok sql --user`."""

    def keys() -> list[dict[str, object]]:
        return [key.as_row() for key in key_vault.of_user(services.db, user.id)]

    return OwnRows(services.engine, user, keys=keys, now=services.now())


def ask_once(services: Services, user: User, query: str) -> ConsoleResult:
    """Answer one query of a user in a process of its own, with the columns that it names. Raises as `ConsolePool.ask`."""
    check_size(query)
    rows = rows_of(services, user)
    with contextlib.suppress(ColumnsMissing):
        some = () if named_columns.may_see_spikes(query) else named_columns.NAMES
        return _asked(rows, query, named_columns.named(query) or some)
    return _asked(rows, query, ())


def _asked(rows: OwnRows, query: str, columns: Sequence[str]) -> ConsoleResult:
    with Worker() as worker:
        worker.start()
        rows.load(worker, columns)
        return worker.query(query)


def end(services: Services, user_id: str) -> None:
    """End the process of a user who has signed out or whose records are gone."""
    if found := _pools.get(services):
        found.end(user_id)


def close(services: Services) -> None:
    """End all processes."""
    with _making:
        found = _pools.pop(services, None)
    if found:
        found.close()


class _IsHere:
    """Whether a user is signed in anywhere. Does not keep the services alive."""

    def __init__(self, services: Services) -> None:
        self._services = weakref.ref(services)

    def __call__(self, user_id: str) -> bool:
        services = self._services()
        return services is not None and bool(sessions.of_user(services.db, user_id, now=services.now()))
