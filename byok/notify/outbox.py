"""The outbox: what is to be sent lies in the database before anything is, and is marked as sent right after the receiver said so.

Killed anywhere, nothing is lost, and nothing is sent twice but for a kill between the receiver's 2xx and our note of it. A delivery is
put in together with the fact that it was decided (one transaction, a unique `dedupe_key`), and each try is noted before it begins.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from byok.accounts import plans
from byok.accounts.database import Database
from byok.accounts.ids import new_id
from byok.accounts.tables import alert_episodes, alert_rules, deliveries, users
from byok.notify.outcome import Outcome

GIVEN_UP_AFTER = timedelta(hours=24)
WAITS_S = (2, 10, 60, 300, 900, 1800, 3600)  # before the second try, the third, …; the last one goes on
LEASE = timedelta(seconds=120)  # longer than any try: whoever took a delivery up and vanished gives it back
KEPT = timedelta(days=30)
REMEMBERED = timedelta(hours=26)  # hours older than that are never alerted, so nothing needs to know that they were
_LATEST = datetime.max.replace(tzinfo=UTC) - 2 * REMEMBERED
STATUSES = ("pending", "sent", "refused", "expired")
LEVELS = ("warn", "alert")
REPORT = "report"
TEST = "test"  # sent at once by whoever asked; never by the keeper


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one target. `status`: pending, sent, refused (the receiver said no) or expired (24 h of tries)."""

    id: str
    rule_id: str | None
    user_id: str
    about_user_id: str
    kind: str
    facts: str
    status: str
    result: str | None
    tries: int
    created_at: datetime
    next_try_at: datetime
    last_try_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Due(Delivery):
    """One that is to be sent now, and where to: a name for the receiver, by which those of one are known."""

    target: str


_SHOWN = tuple(deliveries.c[name] for name in Delivery.__dataclass_fields__)
_MAILBOX = "mail:" + sa.func.coalesce(alert_rules.c.address, users.c.email)
_WEB_PLACE = alert_rules.c.channel + ":" + alert_rules.c.host + ":" + alert_rules.c.last_four
_TARGET = sa.func.coalesce(_WEB_PLACE, _MAILBOX).label("target")  # mail rules have no host


def put(
    connection: Connection,
    *,
    kind: str,
    dedupe_key: str,
    rule_id: str | None,
    user_id: str,
    about_user_id: str,
    facts: str,
    now: datetime,
    not_before: datetime | None = None,
) -> str | None:
    """Put a delivery in, inside a transaction that is open; its id, or None if one with this key is or was in."""
    if connection.execute(sa.select(deliveries.c.id).where(deliveries.c.dedupe_key == dedupe_key)).first():
        return None
    first_try = max(now, not_before or now)
    delivery_id = new_id("dlv_")
    values = {
        "id": delivery_id,
        "rule_id": rule_id,
        "user_id": user_id,
        "about_user_id": about_user_id,
        "kind": kind,
        "dedupe_key": dedupe_key,
        "facts": facts,
        "status": "pending",
        "tries": 0,
        "in_flight": False,
        "created_at": now,
        "next_try_at": first_try,
        "expires_at": first_try + GIVEN_UP_AFTER,
    }
    connection.execute(sa.insert(deliveries).values(**values))
    return delivery_id


def due(db: Database, *, now: datetime, most: int, but: Collection[str] = ()) -> list[Due]:
    """What is to be sent now, oldest first; of each target the oldest one, so that a long queue holds up no other. `but`: not to these.

    That an episode is over is told to nobody who still waits for word of its beginning.
    """
    earlier, its_own = deliveries.alias(), sa.func.replace(deliveries.c.dedupe_key, ":resolved:", ":alert:")
    its_alerts = earlier.c.dedupe_key.in_([its_own + level for level in LEVELS])
    untold = sa.exists().where(its_alerts, earlier.c.status == "pending", earlier.c.expires_at >= now)
    which = (deliveries.c.status == "pending") & (deliveries.c.next_try_at <= now) & (deliveries.c.kind != TEST) & ~_too_late(now)
    turn = sa.func.row_number().over(partition_by=_TARGET, order_by=(deliveries.c.next_try_at, deliveries.c.created_at)).label("turn")
    known = deliveries.join(users, users.c.id == deliveries.c.user_id).outerjoin(alert_rules, alert_rules.c.id == deliveries.c.rule_id)
    ranked = sa.select(*_SHOWN, _TARGET, turn).select_from(known).where(which, ~((deliveries.c.kind == "resolved") & untold)).subquery()
    first = sa.select(*(ranked.c[name] for name in Due.__dataclass_fields__)).where(ranked.c.turn == 1, ranked.c.target.not_in(but))
    with db.reading() as connection:
        return [Due(*row) for row in connection.execute(first.order_by(ranked.c.next_try_at, ranked.c.created_at).limit(most))]


def hold(db: Database, delivery_id: str, *, until: datetime, now: datetime) -> None:
    """Put a try off; the time until then does not count as time in which it could be sent."""
    which = (deliveries.c.id == delivery_id) & (deliveries.c.status == "pending") & (deliveries.c.next_try_at <= now)
    with db.writing() as connection:
        row = connection.execute(sa.select(deliveries.c.expires_at).where(which)).first()
        if row is not None:
            later = {"next_try_at": until, "expires_at": row.expires_at + (until - now)}
            connection.execute(sa.update(deliveries).where(which).values(**later))


def take(db: Database, delivery_id: str, *, now: datetime) -> bool:
    """Begin a try: whether it is ours. Noted before anything is sent."""
    which = (deliveries.c.id == delivery_id) & (deliveries.c.status == "pending") & (deliveries.c.next_try_at <= now)
    begun = {"in_flight": True, "tries": deliveries.c.tries + 1, "last_try_at": now, "next_try_at": now + LEASE}
    with db.writing() as connection:
        return bool(connection.execute(sa.update(deliveries).where(which).values(**begun)).rowcount)


def settle(db: Database, delivery_id: str, outcome: Outcome, *, now: datetime) -> None:
    """Note what came of a try."""
    mine = deliveries.c.id == delivery_id
    with db.writing() as connection:
        row = connection.execute(sa.select(deliveries.c.tries, deliveries.c.expires_at).where(mine)).first()
        if row is None:  # its rule or its user went meanwhile
            return
        wait = max(WAITS_S[min(row.tries, len(WAITS_S)) - 1], outcome.wait_s or 0) if row.tries else WAITS_S[0]
        again = now + timedelta(seconds=min(wait, GIVEN_UP_AFTER.total_seconds()))
        values: dict[str, Any] = {"in_flight": False, "result": outcome.said}
        if outcome.sent or outcome.final:
            values |= {"status": "sent" if outcome.sent else "refused", "ended_at": now}
        elif again > row.expires_at:
            values |= {"status": "expired", "ended_at": now}
        else:
            values["next_try_at"] = again
        connection.execute(sa.update(deliveries).where(mine).values(**values))


def recover(db: Database, *, now: datetime) -> None:
    """Give back what a killed keeper had taken up: the only one that may send says so at its start."""
    left = (deliveries.c.status == "pending") & deliveries.c.in_flight & (deliveries.c.kind != TEST)
    with db.writing() as connection:
        connection.execute(sa.update(deliveries).where(left).values(in_flight=False, next_try_at=now))


def get(db: Database, delivery_id: str) -> Delivery | None:
    """One delivery."""
    with db.reading() as connection:
        row = connection.execute(sa.select(*_SHOWN).where(deliveries.c.id == delivery_id)).first()
        return Delivery(*row) if row else None


class Figures(NamedTuple):
    """How the outbox stands: how many deliveries of the last 30 days have each status, and how long the oldest that is due has waited."""

    by_status: dict[str, int]
    oldest_due_s: float


def figures(db: Database, *, now: datetime) -> Figures:
    """Counts and an age, nobody's in particular; a delivery that quiet hours hold back is not due."""
    counted = sa.select(deliveries.c.status, sa.func.count()).where(deliveries.c.kind != TEST).group_by(deliveries.c.status)
    waiting = (deliveries.c.status == "pending") & (deliveries.c.kind != TEST)
    due_now = waiting & ((deliveries.c.tries > 0) | (deliveries.c.next_try_at <= now))
    with db.reading() as connection:
        by_status = {row[0]: row[1] for row in connection.execute(counted)}
        begun = connection.execute(sa.select(sa.func.min(deliveries.c.expires_at)).where(due_now)).scalar()
    oldest_due_s = 0.0 if begun is None else max(0.0, (now - (begun - GIVEN_UP_AFTER)).total_seconds())
    return Figures({status: by_status.get(status, 0) for status in STATUSES}, oldest_due_s)


def of_user(db: Database, user_id: str, *, most: int = 50) -> list[Delivery]:
    """A user's deliveries, newest first."""
    newest = (deliveries.c.created_at.desc(), deliveries.c.id.desc())
    with db.reading() as connection:
        rows = connection.execute(sa.select(*_SHOWN).where(deliveries.c.user_id == user_id).order_by(*newest).limit(most))
        return [Delivery(*row) for row in rows]


def last_of_rules(db: Database, rule_ids: Iterable[str]) -> dict[str, Delivery]:
    """The newest delivery of each rule that has one."""
    wanted = list(rule_ids)
    order = (deliveries.c.rule_id, deliveries.c.created_at.desc(), deliveries.c.id.desc())
    found: dict[str, Delivery] = {}
    with db.reading() as connection:
        for row in connection.execute(sa.select(*_SHOWN).where(deliveries.c.rule_id.in_(wanted)).order_by(*order)):
            found.setdefault(row.rule_id, Delivery(*row))
    return found


def prune(db: Database, *, now: datetime) -> None:
    """Give up what is too late, and forget what is old: after 30 days, and figures of hours that the plan of whom they are about no longer
    keeps. A clock that was ahead for a moment puts no message off to where it stood."""
    with db.writing() as connection:
        pending = sa.update(deliveries).where(deliveries.c.status == "pending")
        connection.execute(pending.where(_too_late(now), ~deliveries.c.in_flight).values(status="expired", ended_at=now))
        again = {"next_try_at": now, "expires_at": now + GIVEN_UP_AFTER}
        connection.execute(pending.where(deliveries.c.next_try_at > now + REMEMBERED).values(**again))
        ended = sa.delete(deliveries).where(deliveries.c.status != "pending")
        connection.execute(ended.where(deliveries.c.ended_at < now - KEPT))
        connection.execute(sa.delete(deliveries).where(deliveries.c.kind == TEST, deliveries.c.created_at < now - REMEMBERED))
        connection.execute(sa.delete(alert_episodes).where(alert_episodes.c.last_at < now - KEPT))
        for user_id, days in _kept_days(connection).items():
            before = min(plans.keep_after(days, now), now - REMEMBERED)
            if before <= now - KEPT:
                continue
            connection.execute(ended.where(deliveries.c.about_user_id == user_id, deliveries.c.created_at < before))
            gone = (alert_episodes.c.user_id == user_id) & (alert_episodes.c.last_at < before)
            connection.execute(sa.delete(alert_episodes).where(gone))


def forget_about(db: Database, user_id: str, *, before: datetime, since: datetime | None = None) -> int:
    """Delete what was told about a user's hours between those moments, as the records behind it are being erased; how much that was."""
    begin, before = since or datetime.min.replace(tzinfo=UTC), min(before, _LATEST)
    with db.writing() as connection:
        told = (deliveries.c.about_user_id == user_id) & (deliveries.c.created_at >= begin)
        # An hour is told of up to a day later; what is still to be sent by then is of another hour.
        past = (deliveries.c.created_at < before) | ((deliveries.c.created_at < before + REMEMBERED) & (deliveries.c.status != "pending"))
        gone: int = connection.execute(sa.delete(deliveries).where(told, past)).rowcount
        hours = (alert_episodes.c.user_id == user_id) & (alert_episodes.c.last_at >= begin) & (alert_episodes.c.last_at < before)
        return gone + int(connection.execute(sa.delete(alert_episodes).where(hours)).rowcount)


def _too_late(now: datetime) -> sa.ColumnElement[bool]:
    """An alert that nobody could send in its 24 hours, as the keeper stood still: its hour is over. A report has one try afterwards."""
    return (deliveries.c.expires_at < now) & (deliveries.c.kind != REPORT)


def _kept_days(connection: Connection) -> dict[str, int]:
    """Days kept of the users about whom something lies here."""
    about = sa.select(deliveries.c.about_user_id).union(sa.select(alert_episodes.c.user_id))
    rows = connection.execute(sa.select(users.c.id, users.c.plan, users.c.retention_days).where(users.c.id.in_(about)))
    return {user_id: days or plans.PLAN_DAYS[plan] for user_id, plan, days in rows}
