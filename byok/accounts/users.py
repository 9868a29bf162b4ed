"""Users: who they are, what their plan keeps, and their removal."""

import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from byok import zones as zone_rules
from byok.accounts import delays, jobs, saved_views, tombstones
from byok.accounts.database import Database
from byok.accounts.errors import UserErased, UserExists, UserUnknown
from byok.accounts.ids import is_user_id, new_id
from byok.accounts.plans import LONGEST_DAYS, PLAN_DAYS, PLANS, Plan
from byok.accounts.tables import sessions, users
from byok.errors import BadRequest

_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f\"(),:;<>\[\]\\]{1,64}@[^@\s\x00-\x1f\x7f\"(),:;<>\[\]\\/?#]{1,189}")
_BATCH = 500
HIGHEST_LIMIT = 1_000_000
AS_SET = -1  # for a limit: what the settings say


@dataclass(frozen=True, slots=True)
class User:
    """`retention_days` is what holds for this user: as set, else the plan's. The two limits: None is the installation's, 0 is none.

    `stored_tz` is the zone as it was set; `tz` is what is reckoned with.
    """

    id: str
    email: str
    name: str | None
    plan: Plan
    retention_days: int
    admin: bool
    disabled: bool
    stored_tz: str
    created_at: datetime
    requests_per_minute: int | None = None
    calls_at_once: int | None = None

    @property
    def tz(self) -> str:
        return zone_rules.known(self.stored_tz)

    def public(self) -> dict[str, Any]:
        """The shape that `user show --json` prints."""
        return {
            "id": self.id,
            "email": self.email,
            "plan": self.plan,
            "retention_days": self.retention_days,
            "admin": self.admin,
            "disabled": self.disabled,
            "created": self.created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }


def add(
    db: Database,
    email: str,
    *,
    now: datetime,
    plan: str = "free",
    retention_days: int | None = None,
    admin: bool = False,
    name: str | None = None,
    tz: str = "UTC",
    user_id: str | None = None,
) -> User:
    """Make a user. Raises `UserExists`, `UserErased` (that id is spent), or `BadRequest` for a value that makes no sense.

    >>> from datetime import UTC
    >>> from byok.accounts.database import open_database
    >>> with open_database("sqlite://") as db:
    ...     add(db, " Ada@Example.org ", now=datetime(2026, 11, 22, tzinfo=UTC), plan="team").email
    'ada@example.org'
    """
    values = {
        "id": new_id("usr_") if user_id is None else _checked_id(user_id),
        "email": _checked_email(email),
        "name": _checked_name(name),
        "plan": _checked_plan(plan),
        "retention_days": _checked_days(retention_days),
        "admin": admin,
        "tz": _checked_zone(tz),
    }
    try:
        with db.writing() as connection:
            return _insert(db, connection, values, now)
    except IntegrityError:
        raise UserExists from None


def add_within(db: Database, connection: Connection, user_id: str, email: str, *, plan: str, now: datetime) -> User:
    """As `add`, inside a transaction that is already open; IntegrityError where `add` says `UserExists`."""
    return _insert(db, connection, {"id": _checked_id(user_id), "email": _checked_email(email), "plan": _checked_plan(plan)}, now)


def _insert(db: Database, connection: Connection, values: dict[str, Any], now: datetime) -> User:
    db.alone(connection, str(values["id"]))
    if tombstones.erased(connection, [str(values["id"])]):
        raise UserErased
    whole = {"admin": False, "tz": "UTC"} | values | {"disabled": False, "created_at": now}
    return from_row(connection.execute(sa.insert(users).values(**whole).returning(*users.c)).one())


def add_many(db: Database, people: Iterable[tuple[str, str]], plan: str, now: datetime) -> set[str]:
    """Make users from (id, e-mail) pairs in one transaction and return the ids that were made.

    Ids and e-mails that are taken, and ids of erased users, are left out. Raises `BadRequest` for an id or e-mail of the wrong shape.
    """
    kept = _checked_plan(plan)
    wanted = {_checked_id(user_id): _checked_email(email) for user_id, email in people}
    with db.writing() as connection:
        db.alone(connection, "many users")
        spent = tombstones.erased(connection, wanted)
        ids, emails = _taken(connection, wanted)
        fresh: list[dict[str, Any]] = []
        for user_id, email in wanted.items():
            if user_id not in spent and user_id not in ids and email not in emails:
                emails.add(email)
                fresh.append({"id": user_id, "email": email})
        common = {"plan": kept, "admin": False, "disabled": False, "tz": "UTC", "created_at": now}
        if fresh:
            connection.execute(sa.insert(users), [person | common for person in fresh])
    return {person["id"] for person in fresh}


def is_there(user_id: str) -> sa.Select[Any]:
    """Finds the user, who then cannot be removed before the transaction ends: for whoever adds something of the user's."""
    return sa.select(users.c.id).where(users.c.id == user_id).with_for_update(read=True, key_share=True)


def by_email(db: Database, email: str) -> User:
    """Return the user with this e-mail, upper or lower case. Raises `UserUnknown`."""
    row = None
    if is_email(email):
        with db.reading() as connection:
            row = connection.execute(sa.select(users).where(users.c.email == normal_email(email))).first()
    if row is None:
        raise UserUnknown
    return from_row(row)


def by_id(db: Database, user_id: str) -> User | None:
    """The user of that id; None if there is none, or what was given is no id."""
    if not is_user_id(user_id):
        return None
    with db.reading() as connection:
        row = connection.execute(sa.select(users).where(users.c.id == user_id)).first()
    return None if row is None else from_row(row)


def all_users(db: Database) -> list[User]:
    """Everyone, by e-mail."""
    with db.reading() as connection:
        return [from_row(row) for row in connection.execute(sa.select(users).order_by(users.c.email))]


def change(
    db: Database,
    user_id: str,
    *,
    email: str | None = None,
    plan: str | None = None,
    retention_days: int | None = None,
    admin: bool | None = None,
    name: str | None = None,
    tz: str | None = None,
    disabled: bool | None = None,
    requests_per_minute: int | None = None,
    calls_at_once: int | None = None,
) -> User:
    """Change what is given and return the user; None means leave as it is. Raises `UserUnknown`, `UserExists` (that e-mail is
    another's), `BadRequest`.

    A new plan brings its own retention, unless days are given too. Disabling ends all sessions. A limit of 0 is none; `AS_SET` (-1)
    goes back to the installation's.
    """
    values: dict[str, Any] = {}
    if email is not None:
        values["email"] = _checked_email(email)
    if plan is not None:
        values |= {"plan": _checked_plan(plan), "retention_days": None}
    if retention_days is not None:
        values["retention_days"] = _checked_days(retention_days)
    if name is not None:
        values["name"] = _checked_name(name)
    if tz is not None:
        values["tz"] = _checked_zone(tz)
    values |= {key: flag for key, flag in (("admin", admin), ("disabled", disabled)) if flag is not None}
    limits = (("requests_per_minute", requests_per_minute), ("calls_at_once", calls_at_once))
    values |= {key: _checked_limit(limit) for key, limit in limits if limit is not None}
    try:
        with db.writing() as connection:
            if email is not None and (former := _email_of(connection, user_id)) is not None:
                delays.forget(connection, delays.of_email(connection, former))
            if values:
                connection.execute(sa.update(users).where(users.c.id == user_id).values(**values))
            if disabled:
                connection.execute(sa.delete(sessions).where(sessions.c.user_id == user_id))
            row = connection.execute(sa.select(users).where(users.c.id == user_id)).first()
    except IntegrityError:
        raise UserExists from None
    if row is None:
        raise UserUnknown
    return from_row(row)


def retention(db: Database) -> dict[str, int]:
    """Return user id -> days kept, for all users."""
    with db.reading() as connection:
        rows = connection.execute(sa.select(users.c.id, users.c.plan, users.c.retention_days))
        return {user_id: days or PLAN_DAYS[plan] for user_id, plan, days in rows}


def retention_of(db: Database, user_id: str) -> int | None:
    """Return how many days one user's records are kept, or None if there is no such user."""
    with db.reading() as connection:
        row = connection.execute(sa.select(users.c.plan, users.c.retention_days).where(users.c.id == user_id)).first()
        return None if row is None else row.retention_days or PLAN_DAYS[row.plan]


def zones(db: Database, user_ids: Collection[str]) -> dict[str, str]:
    """Return user id -> time zone, for those of `user_ids` that there are."""
    wanted = set(user_ids)
    asked = sa.select(users.c.id, users.c.tz)
    if len(wanted) == 1:
        asked = asked.where(users.c.id == min(wanted))
    with db.reading() as connection:
        return {user_id: zone_rules.known(tz) for user_id, tz in connection.execute(asked) if user_id in wanted}


def remove(db: Database, user_id: str, *, now: datetime) -> None:
    """Delete the user with all sessions, tokens, passwords, keys and facts of jobs, and set the tombstone, in one transaction.

    Repeating it, or removing an id that never was, only sets the tombstone. `now` is the tombstone's time.
    """
    with db.writing() as connection:
        db.alone(connection, user_id)  # the second of two erasures at once finds the tombstone of the first
        email = _email_of(connection, user_id)
        if email is not None:
            delays.forget(connection, delays.of_email(connection, email))
        saved_views.forget(connection, user_id)
        connection.execute(sa.delete(users).where(users.c.id == user_id))  # the rest goes by foreign key
        jobs.forget(connection, user_id)
        tombstones.bury(connection, user_id, now)


def from_row(row: Any) -> User:
    """Make a `User` of a row that has all columns of the table `users`."""
    return User(
        id=row.id,
        email=row.email,
        name=row.name,
        plan=row.plan,
        retention_days=row.retention_days or PLAN_DAYS[cast(Plan, row.plan)],
        admin=row.admin,
        disabled=row.disabled,
        stored_tz=row.tz,
        created_at=row.created_at,
        requests_per_minute=row.requests_per_minute,
        calls_at_once=row.calls_at_once,
    )


def _email_of(connection: Connection, user_id: str) -> str | None:
    found: str | None = connection.execute(sa.select(users.c.email).where(users.c.id == user_id)).scalar()
    return found


def normal_email(email: str) -> str:
    """The form in which e-mails are stored and compared."""
    return unicodedata.normalize("NFC", email).strip().lower()


def is_email(text: str) -> bool:
    """Whether this could be an e-mail: one @, a host, no spaces, quotes or control characters."""
    normal = normal_email(text)
    return normal.isprintable() and _EMAIL.fullmatch(normal) is not None


def _taken(connection: Connection, wanted: dict[str, str]) -> tuple[set[str], set[str]]:
    ids: set[str] = set()
    emails: set[str] = set()
    pairs = list(wanted.items())
    for start in range(0, len(pairs), _BATCH):
        part = pairs[start : start + _BATCH]
        match = users.c.id.in_([user_id for user_id, _ in part]) | users.c.email.in_([email for _, email in part])
        for row in connection.execute(sa.select(users.c.id, users.c.email).where(match)):
            ids.add(row.id)
            emails.add(row.email)
    return ids, emails


def _checked_id(user_id: str) -> str:
    if not is_user_id(user_id):
        raise _senseless("A user id", "usr_ and 4 to 40 letters or digits")
    return user_id


def _checked_email(email: str) -> str:
    if not is_email(email):
        raise _senseless("The e-mail", "name@host")
    return normal_email(email)


def _checked_plan(plan: str) -> Plan:
    if plan not in PLANS:
        raise _senseless("The plan", " or ".join(PLANS))
    return plan


def _checked_days(days: int | None) -> int | None:
    if days is not None and not 1 <= days <= LONGEST_DAYS:
        raise _senseless("Retention", f"1 to {LONGEST_DAYS} days")
    return days


def _checked_limit(limit: int) -> int | None:
    if not AS_SET <= limit <= HIGHEST_LIMIT:
        raise _senseless("A limit", f"0 (none) to {HIGHEST_LIMIT}")
    return None if limit == AS_SET else limit


def _checked_name(name: str | None) -> str | None:
    kept = (name or "").strip()
    if len(kept) > 200 or not kept.isprintable():
        raise _senseless("The name", "one line of at most 200 characters")
    return kept or None


def _checked_zone(tz: str) -> str:
    if tz not in zone_rules.names():
        raise _senseless("The time zone", "an IANA name such as Europe/Berlin")
    return tz


def _senseless(what: str, shape: str) -> BadRequest:
    return BadRequest(f"{what} is not valid.", remedy=f"It must be {shape}.")
