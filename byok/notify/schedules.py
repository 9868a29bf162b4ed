"""When whose report is due: at a local time of day, once per period, also across restarts and clock changes."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal, get_args

import sqlalchemy as sa

from byok import zones
from byok.accounts.checks import CLOCK
from byok.accounts.database import Database
from byok.accounts.errors import UserUnknown
from byok.accounts.tables import report_schedules, users
from byok.errors import BadRequest
from byok.notify import outbox

Kind = Literal["day", "week", "month"]
KINDS: tuple[Kind, ...] = get_args(Kind)
AT = "08:00"
_LONGEST: dict[Kind, timedelta] = {"day": timedelta(days=2), "week": timedelta(days=8), "month": timedelta(days=32)}  # to the next one
_DAY, _MOMENT = timedelta(days=1), timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Schedule:
    """`at` is HH:MM in `tz`: every day, on Mondays (week) or on the first (month). `next_at` is an instant."""

    user_id: str
    period: Kind
    at: str
    tz: str
    csv: bool
    next_at: datetime


@dataclass(frozen=True, slots=True)
class Period:
    """A complete local day, ISO week or month; `last` is its last day."""

    kind: Kind
    first: date
    last: date
    tz: str

    @property
    def since(self) -> datetime:
        return zones.midnight(self.first, self.tz)

    @property
    def until(self) -> datetime:
        return zones.midnight(self.last + _DAY, self.tz)

    @property
    def before(self) -> "Period":
        """The one before."""
        return _ending(self.kind, self.first - _DAY, self.tz)

    @property
    def name(self) -> str:
        """As ISO writes it: 2026-11-24, 2026-W47 or 2026-10."""
        if self.kind == "week":
            year, week, _ = self.first.isocalendar()
            return f"{year}-W{week:02d}"
        return self.first.isoformat() if self.kind == "day" else f"{self.first:%Y-%m}"

    @property
    def words(self) -> str:
        """Such as `week 2026-W47, 2026-11-16 to 2026-11-22`."""
        if self.kind == "week":
            return f"week {self.name}, {self.first} to {self.last}"
        return f"day {self.name}, {self.first:%A}" if self.kind == "day" else f"month {self.name}, {self.first:%B %Y}"


def last_complete(kind: Kind, tz: str, now: datetime) -> Period:
    """The last day, ISO week or month that is over in that zone.

    >>> last_complete("week", "UTC", datetime.fromisoformat("2026-11-25T12:00Z")).words
    'week 2026-W47, 2026-11-16 to 2026-11-22'
    """
    where = zones.zone(tz)
    begin = zones.midnight(_begin(kind, now.astimezone(where).date()), tz)
    return _ending(kind, (begin - _MOMENT).astimezone(where).date(), tz)  # not the day before: a zone has skipped one


def put(db: Database, user_id: str, kind: str, *, at: str = AT, tz: str, csv: bool = False, now: datetime) -> Schedule:
    """Make it the user's schedule, in place of an earlier one. The first report comes at the next such time."""
    if kind not in KINDS:
        raise BadRequest("The period of this schedule is not valid.", remedy="It must be day, week or month.")
    if not CLOCK.fullmatch(at):
        raise BadRequest("The time of this schedule is not valid.", remedy="It must be HH:MM, such as 08:00.")
    zones.zone(tz)
    values = {"period": kind, "at": at, "tz": tz, "csv": csv, "created_at": now, "next_at": next_due(kind, at, tz, now)}
    with db.writing() as connection:
        if not connection.execute(sa.select(users.c.id).where(users.c.id == user_id).with_for_update()).first():
            raise UserUnknown
        connection.execute(sa.delete(report_schedules).where(report_schedules.c.user_id == user_id))
        connection.execute(sa.insert(report_schedules).values(user_id=user_id, **values))
    return Schedule(user_id, kind, at, tz, csv, values["next_at"])  # type: ignore[arg-type]


def end(db: Database, user_id: str) -> bool:
    """No more reports; whether there were any to come."""
    with db.writing() as connection:
        return bool(connection.execute(sa.delete(report_schedules).where(report_schedules.c.user_id == user_id)).rowcount)


def of_user(db: Database, user_id: str) -> Schedule | None:
    """A user's schedule."""
    found = _select(db, report_schedules.c.user_id == user_id)
    return found[0] if found else None


def everyones(db: Database) -> list[Schedule]:
    """All schedules, for operators: the next one first."""
    return _select(db, sa.true())


def enqueue_due(db: Database, *, now: datetime) -> int:
    """Put every report that is due into the outbox, each period once; of several that were missed, the last. How many were put in."""
    _bring_back(db, now)
    put_in = 0
    for schedule in _select(db, report_schedules.c.next_at <= now):
        with db.writing() as connection:
            mine = (report_schedules.c.user_id == schedule.user_id) & (report_schedules.c.next_at == schedule.next_at)
            following = next_due(schedule.period, schedule.at, schedule.tz, now)
            if not connection.execute(sa.update(report_schedules).where(mine).values(next_at=following)).rowcount:
                continue  # changed or ended at this moment
            if connection.execute(sa.select(users.c.disabled).where(users.c.id == schedule.user_id)).scalar():
                continue
            period = last_complete(schedule.period, schedule.tz, _last_due(schedule, now))
            made = outbox.put(
                connection,
                kind=outbox.REPORT,
                dedupe_key=f"report:{schedule.user_id}:{schedule.period}:{period.first}",
                rule_id=None,
                user_id=schedule.user_id,
                about_user_id=schedule.user_id,
                facts=f"{schedule.period} {period.first} {period.last} {schedule.tz} {'csv' if schedule.csv else '-'}",
                now=now,
            )
            put_in += made is not None
    return put_in


def _bring_back(db: Database, now: datetime) -> None:
    """A clock that was ahead for a moment must not put the next report off to where it stood."""
    columns = report_schedules.c
    too_far = sa.or_(*((columns.period == kind) & (columns.next_at > now + longest) for kind, longest in _LONGEST.items()))
    for schedule in _select(db, too_far):
        mine = (report_schedules.c.user_id == schedule.user_id) & (report_schedules.c.next_at == schedule.next_at)
        with db.writing() as connection:
            following = next_due(schedule.period, schedule.at, schedule.tz, now)
            connection.execute(sa.update(report_schedules).where(mine).values(next_at=following))


def period_of(facts: str) -> tuple[Period, bool]:
    """The period that a delivery of kind report is about, and whether a CSV goes with it."""
    kind, first, last, tz, csv = facts.split()
    return Period(kind, date.fromisoformat(first), date.fromisoformat(last), tz), csv == "csv"  # type: ignore[arg-type]


def next_due(kind: Kind | str, at: str, tz: str, now: datetime) -> datetime:
    """The first such time after `now`. A time that a clock change skips is due at the change, one that it repeats only once.

    >>> next_due("day", "02:30", "Europe/Berlin", datetime.fromisoformat("2026-03-28T12:00Z")).isoformat()
    '2026-03-29T01:00:00+00:00'
    """
    clock, where = time.fromisoformat(at), zones.zone(tz)
    day = now.astimezone(where).date()
    while True:
        if _is_day_of(kind, day):
            due = zones.moment(day, clock, tz)
            if due > now and due.astimezone(where).date() == day:
                return due
        day += _DAY


def _last_due(schedule: Schedule, now: datetime) -> datetime:
    """The latest time up to `now` at which it was due; at least `next_at`, which has passed."""
    due = schedule.next_at
    while (following := next_due(schedule.period, schedule.at, schedule.tz, due)) <= now:
        due = following
    return due


def _is_day_of(kind: Kind | str, day: date) -> bool:
    return kind == "day" or (day.weekday() == 0 if kind == "week" else day.day == 1)


def _begin(kind: Kind, day: date) -> date:
    if kind == "week":
        return day - day.weekday() * _DAY
    return day if kind == "day" else day.replace(day=1)


def _ending(kind: Kind, last: date, tz: str) -> Period:
    return Period(kind, _begin(kind, last), last, tz)


def _select(db: Database, which: sa.ColumnElement[bool]) -> list[Schedule]:
    columns = [report_schedules.c[name] for name in Schedule.__dataclass_fields__]
    with db.reading() as connection:
        rows = connection.execute(sa.select(*columns).where(which).order_by(report_schedules.c.next_at))
        return [Schedule(**(row._asdict() | {"tz": zones.known(row.tz)})) for row in rows]
