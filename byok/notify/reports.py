"""The summary of a day, a week or a month: figures of one user, and the mail of them. Retention holds as everywhere."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from byok import export, in_words, links, zones
from byok.accounts import access_tokens, key_vault
from byok.accounts.plans import keep_after
from byok.accounts.users import User
from byok.notify import mail_pages, unsubscribe
from byok.notify.email import Mail
from byok.notify.findings import amount, plain, window
from byok.notify.schedules import Kind, Period, last_complete
from byok.notify.source import Spikes
from byok.services import Services
from byok.spikes.episodes import Episode, episodes, named
from byok.store import questions
from byok.store.outlook import outlook
from byok.store.scope import Scope
from byok.zones import EARLIEST, LATEST

_MOST_MODELS, _MOST_MOVERS, _MOST_SPIKES = 10, 5, 8
_SOON = timedelta(days=14)
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """One total: now, before, and how much it changed (a share; None if that cannot be said)."""

    name: str
    now: str
    before: str
    change: float | None


@dataclass(frozen=True)
class Line:
    """A row of a table: a name, figures in words, and a share of the largest from 0 to 1 for its bar."""

    name: str
    cells: tuple[str, ...]
    share: float = 0.0


@dataclass(frozen=True)
class Report:
    """A summary in words and figures, ready for either part of the mail.

    `notes`: what the figures leave out, such as days that the plan no longer keeps.
    """

    user: User
    period: Period
    figures: tuple[Figure, ...]
    notes: tuple[str, ...]
    steps: tuple[Line, ...]
    models: tuple[Line, ...]
    movers: tuple[Line, ...]
    spikes: tuple[Line, ...]
    failures: tuple[Line, ...]
    ahead: tuple[str, ...]
    expiring: tuple[str, ...]
    url: str
    rows: Sequence[Row]

    @property
    def subject(self) -> str:
        """Such as `BYOK usage, week 2026-W47, 2026-11-16 to 2026-11-22`."""
        return f"BYOK usage, {self.period.words}"


def compose(services: Services, user: User, period: Period, *, now: datetime, spikes: Spikes | None = None) -> Report:
    """Ask for everything the report of `period` tells. `spikes` gives the rows of the view `spikes` within a scope."""
    engine, scope = services.engine, _scope(user, period)
    kept_from = keep_after(user.retention_days, now)
    before = _scope(user, period.before) if period.before.since >= kept_from else None
    rows = questions.usage(engine, scope, cost=True).rows
    rows_before = questions.usage(engine, before, cost=True).rows if before else []
    summary = questions.summary(engine, scope)
    return Report(
        user=user,
        period=period,
        figures=_figures(summary, questions.summary(engine, before) if before else None),
        notes=(*_cut(user, period, kept_from), *_unpriced(summary)),
        steps=_steps(services, scope, period),
        models=_models(rows),
        movers=_movers(rows, rows_before) if before else (),
        spikes=tuple(_spike(one, period) for one in episodes(spikes(scope) if spikes else (), now=now)[:_MOST_SPIKES]),
        failures=_failures(questions.usage(engine, scope, group_by=("vendor", "status")).rows),
        ahead=_ahead(services, user, period, now, kept_from),
        expiring=_expiring(services, user, _zone(period), now),
        url=_link(services, period),
        rows=rows,
    )


def mail(services: Services, report: Report, delivery_id: str, *, with_csv: bool = False) -> Mail:
    """The mail of a report: plain text, HTML and, if wanted, the figures by model as CSV."""
    ends = unsubscribe.address(services.settings.dashboard_url, services.master, unsubscribe.Subject(report.user.id))
    facts: dict[str, Any] = {"report": report, "unsubscribe": ends}
    return Mail(
        to=report.user.email,
        subject=report.subject,
        text=mail_pages.text("report.txt", **facts),
        html=mail_pages.html("report.html", **facts),
        id=delivery_id,
        unsubscribe=ends,
        attachment=(f"usage-{report.period.name}.csv", _csv(report.rows)) if with_csv else None,
    )


def of_last(services: Services, user: User, kind: Kind, *, now: datetime, spikes: Spikes | None = None) -> Report:
    """The report of the last complete day, week or month in the user's zone."""
    return compose(services, user, last_complete(kind, user.tz, now), now=now, spikes=spikes)


def usd(value: in_words.Number | None) -> str:
    """Money as reports write it.

    >>> usd(Decimal("1234.5")), usd(None)
    ('$1,234.50', 'not known')
    """
    return "not known" if value is None else in_words.cents(value)


def _scope(user: User, period: Period) -> Scope:
    return Scope(user.id, period.since, period.until, tz=period.tz)


def _figures(now: Row, before: Row | None) -> tuple[Figure, ...]:
    def figure(name: str, field: str, said: Callable[[Any], str]) -> Figure:
        earlier = before[field] if before else None
        return Figure(name, said(now[field]), "" if before is None else said(earlier), in_words.change(now[field], earlier))

    counted = [figure(name, field, _count) for name, field in (("Calls", "calls"), ("Failed", "failed"), ("Tokens", "total_tokens"))]
    return (*counted, figure("Cost", "cost_usd", usd))


def _count(value: int) -> str:
    return f"{value:,}"


def _cut(user: User, period: Period, kept_from: datetime) -> tuple[str, ...]:
    if period.since >= kept_from:
        return ()
    kept, begin = in_words.plural(user.retention_days, "day"), window(kept_from, timedelta(hours=1), _zone(period))
    return (f"Your plan ({user.plan}) keeps {kept}; what lies before {begin} is not in here.",)


def _unpriced(now: Row) -> tuple[str, ...]:
    calls = now["unpriced_calls"]
    return (f"Not in the cost: {in_words.plural(calls, 'call')} whose price or token counts are not known.",) if calls else ()


def _zone(period: Period) -> ZoneInfo:
    return zones.zone(period.tz)


def _steps(services: Services, scope: Scope, period: Period) -> tuple[Line, ...]:
    """The course of the period: hours of a day, days of a week or a month."""
    grain: questions.Grain = "hour" if period.kind == "day" else "day"
    rows = questions.series(services.engine, scope, grain=grain).to_pylist()
    most = max((row["total_tokens"] for row in rows), default=0)
    twice = [name for name, times in Counter(_step_name(row["bucket"], grain) for row in rows).items() if times > 1]
    return tuple(
        Line(
            _step_name(row["bucket"], grain, twice),
            (_count(row["calls"]), _count(row["total_tokens"]), usd(row["cost_usd"])),
            row["total_tokens"] / most if most else 0.0,
        )
        for row in rows
    )


def _step_name(bucket: str, grain: str, twice: Sequence[str] = ()) -> str:
    """An hour that a clock change repeats (`twice`) says its offset, too."""
    if grain == "day":
        return f"{datetime.fromisoformat(bucket):%a} {bucket[5:]}"
    return bucket[11:16] + (f" (UTC{bucket[19:]})" if bucket[11:16] in twice else "")


def _models(rows: Sequence[Row]) -> tuple[Line, ...]:
    ordered = sorted(rows, key=lambda row: (-(row["cost_usd"] or 0), -row["total_tokens"], row["vendor"], row["model"]))
    most = max((float(row["cost_usd"] or 0) for row in rows), default=0.0)
    lines = [
        Line(
            f"{row['vendor']}/{row['model']}",
            (_count(row["calls"]), _count(row["failed"]), _count(row["total_tokens"]), usd(row["cost_usd"])),
            float(row["cost_usd"] or 0) / most if most else 0.0,
        )
        for row in ordered[:_MOST_MODELS]
    ]
    rest = ordered[_MOST_MODELS:]
    if rest:
        sums = [sum(row[name] for row in rest) for name in ("calls", "failed", "total_tokens")]
        known = [row["cost_usd"] for row in rest if row["cost_usd"] is not None]
        lines.append(Line(f"{len(rest)} more", (*map(_count, sums), usd(sum(known, Decimal(0)) if known else None))))
    return tuple(lines)


def _movers(rows: Sequence[Row], before: Sequence[Row]) -> tuple[Line, ...]:
    """What changed most in cost, by a cent and more, of models whose cost is known both times; in tokens where nothing is priced."""
    priced = any(row["cost_usd"] is not None for row in (*rows, *before))
    field, least = ("cost_usd", Decimal("0.005")) if priced else ("total_tokens", 1)
    said: Callable[[Any], str] = usd if priced else _count
    now, then = ({f"{row['vendor']}/{row['model']}": row[field] for row in some} for some in (rows, before))
    known = [name for name in {**now, **then} if None not in (now.get(name, 0), then.get(name, 0))]
    moved = [(name, now.get(name, 0) - then.get(name, 0)) for name in known]
    moved = sorted(((name, by) for name, by in moved if abs(by) >= least), key=lambda one: (-abs(one[1]), one[0]))[:_MOST_MOVERS]

    def change(name: str) -> str:
        share = in_words.change(now.get(name, 0), then.get(name))
        return "new" if name not in then else "gone" if name not in now else in_words.signed_percent(share) if share is not None else ""

    return tuple(
        Line(name, (f"{'+' if by > 0 else '-'}{said(abs(by))}", change(name), said(then.get(name, 0)), said(now.get(name, 0))))
        for name, by in moved
    )


def _spike(one: Episode, period: Period) -> Line:
    """From when to when, and the figures of its strongest hour."""
    peak, zone = one.peak, _zone(period)
    times = f"{peak.times:,.1f}x" if peak.times is not None else ""
    first, last = one.hours[0].hour, one.hours[-1].hour
    when = window(first, timedelta(hours=1), zone)
    if len(one.hours) > 1:
        when += f", to {(last + timedelta(hours=1)).astimezone(zone):%m-%d %H:%M}; strongest at {peak.hour.astimezone(zone):%H:%M}"
    return Line(named(one.vendor, one.model), (when, f"{amount(peak.metric, peak.actual)} an hour", times, plain(peak.why)))


def _failures(rows: Sequence[Row]) -> tuple[Line, ...]:
    failed = sorted((row for row in rows if row["failed"]), key=lambda row: (-row["failed"], row["vendor"], row["status"]))
    return tuple(Line(f"{row['vendor']}, status {row['status']}", (_count(row["failed"]),)) for row in failed[:_MOST_MODELS])


def _ahead(services: Services, user: User, period: Period, now: datetime, kept_from: datetime) -> tuple[str, ...]:
    """Where the running month is going."""
    found = outlook(services.engine, Scope(user.id, EARLIEST, LATEST, tz=period.tz), now=now, kept_from=kept_from)
    guess = found.forecast
    if not found.days or guess.middle is None or guess.low is None or guess.high is None:
        return ()
    so_far, middle, low, high = (usd(value) for value in (found.so_far, guess.middle, guess.low, guess.high))
    return (f"{found.month:%B} so far {so_far}; at its end {middle}, four times out of five between {low} and {high}.",)


def _expiring(services: Services, user: User, zone: ZoneInfo, now: datetime) -> tuple[str, ...]:
    lines = []
    for token in access_tokens.of_user(services.db, user.id):
        if token.expires_at is not None and now < token.expires_at <= now + _SOON:
            lines.append(f"Access token {plain(token.label) or token.id} expires on {token.expires_at.astimezone(zone):%Y-%m-%d}.")
    for key in key_vault.of_user(services.db, user.id):
        if key.refused_at is not None:
            lines.append(
                f"{key.vendor} refuses the key {plain(key.label) or key.last_four} since {key.refused_at.astimezone(zone):%Y-%m-%d}."
            )
    oldest = questions.extent(services.engine, user.id)[0]
    until = keep_after(user.retention_days, now + timedelta(days=7))
    if oldest is not None and oldest < until:
        before = window(until, timedelta(hours=1), zone)
        lines.append(f"Records from before {before} are deleted within the next seven days: your plan ({user.plan}) keeps no more.")
    return tuple(lines)


def _link(services: Services, period: Period) -> str:
    filters = {"range": "custom", "from": period.first.isoformat(), "to": period.last.isoformat(), "tz": period.tz}
    return links.page(services.settings.dashboard_url, "overview", filters)


def _csv(rows: Sequence[Row]) -> str:
    """The figures by vendor and model, as an export writes them: no cell runs as a formula."""
    batches = pa.Table.from_pylist([dict(row) for row in rows]).to_batches()
    return b"".join(export.write("csv", iter(batches))).decode() if batches else ""
