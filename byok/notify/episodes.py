"""Hours in a row are one episode: told when it begins, told when it is over. Decided and put into the outbox in one transaction."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from byok.accounts.alert_rules import Rule
from byok.accounts.database import Database
from byok.accounts.tables import alert_episodes, alert_rules, users
from byok.notify import findings, outbox
from byok.notify.findings import Finding
from byok.spikes.episodes import Spike, grouped

NEXT_HOUR = timedelta(hours=1)  # hours in a row are one spike to whoever is told; after an hour between, it is told anew
Series = tuple[str, str, str]  # user, vendor, model; the latter two may be empty: all


@dataclass(frozen=True, slots=True)
class _Told:
    """What is remembered of an episode."""

    seq: int
    began_at: datetime
    last_at: datetime
    level: str
    facts: str


def tell(db: Database, rule: Rule, found: Iterable[Finding], *, now: datetime, not_before: datetime | None = None) -> int:
    """Remember what a rule found and put what is new into the outbox; how many messages that were. Nothing is told twice.

    `not_before`: when quiet hours end.
    """
    put = 0
    ordered = sorted(found, key=lambda one: one.hour)
    if not ordered:
        return 0
    with db.writing() as connection:
        # Gone meanwhile, with its rule or its user: then there is nothing to tell.
        if not connection.execute(sa.select(alert_rules.c.id).where(alert_rules.c.id == rule.id)).first():
            return 0
        about = {one.user_id for one in ordered}
        known = set(connection.execute(sa.select(users.c.id).where(users.c.id.in_(about))).scalars())
        told = _told_near(connection, rule, ordered)
        for one in ordered:
            if one.user_id in known:
                put += _tell_one(connection, rule, one, told, now, not_before)
    return put


def close(db: Database, rule: Rule, *, now: datetime, still: Collection[Series] = (), not_before: datetime | None = None) -> int:
    """End the episodes of a rule that have paused for long enough and are not in `still`; how many were told to be over.

    One that was over before it was told of ends without a word: its message spoke of the past already.
    """
    told = 0
    with db.writing() as connection:
        for row in connection.execute(sa.select(alert_episodes).where(_open_of(rule))).all():
            peak = findings.load(row.facts)
            if series_of(row) in still or now < row.last_at + _pause(peak) + peak.step:
                continue
            connection.execute(sa.update(alert_episodes).where(alert_episodes.c.seq == row.seq).values(closed_at=now))
            went_on = row.told_at < row.last_at + peak.step or peak.kind == "silence"
            if went_on and not _starts_anew(peak):
                told += _put(connection, rule, row.seq, "resolved", peak, now, not_before)
    return told


def open_series(db: Database, rule: Rule) -> set[Series]:
    """Of which series a rule has an episode that is not over."""
    with db.reading() as connection:
        return {series_of(row) for row in connection.execute(sa.select(alert_episodes).where(_open_of(rule)))}


def series_of(one: Any) -> Series:
    """User, vendor and model of a finding or of a row."""
    return one.user_id, one.vendor, one.model


def _open_of(rule: Rule) -> sa.ColumnElement[bool]:
    return (alert_episodes.c.rule_id == rule.id) & alert_episodes.c.closed_at.is_(None)


def _starts_anew(one: Finding) -> bool:
    """A threshold per day is told of each day, and a day is over by itself."""
    return one.kind == "above" and one.step > timedelta(hours=1)


def _pause(one: Finding) -> timedelta:
    """How far apart two findings of one episode may be."""
    return timedelta(0) if one.kind == "silence" or _starts_anew(one) else NEXT_HOUR


def in_a_row(spikes: Iterable[Spike]) -> list[list[Spike]]:
    """Spikes as they would be told: one list per message, newest first, hours in order."""
    return sorted(grouped(spikes, NEXT_HOUR), key=lambda hours: hours[0].hour, reverse=True)


def _told_near(connection: Connection, rule: Rule, found: Sequence[Finding]) -> Mapping[Series, list[_Told]]:
    """The rule's episodes that could be those of the findings, which are in order."""
    columns = [alert_episodes.c[name] for name in ("user_id", "vendor", "model", *_Told.__dataclass_fields__)]
    recent = (alert_episodes.c.rule_id == rule.id) & (alert_episodes.c.last_at >= found[0].hour - NEXT_HOUR)
    told: dict[Series, list[_Told]] = defaultdict(list)
    for row in connection.execute(sa.select(*columns).where(recent)):
        told[series_of(row)].append(_Told(*row[3:]))
    return told


def _tell_one(
    connection: Connection, rule: Rule, one: Finding, told: Mapping[Series, list[_Told]], now: datetime, not_before: datetime | None
) -> int:
    """`told`: what is remembered near it; brought up to date."""
    near = _pause(one)
    fitting = [
        (series, row)
        for series in _told_of(one)
        for row in told[series]
        if row.began_at <= one.hour + near and row.last_at >= one.hour - near
    ]
    if not fitting:
        facts = one.dump()
        values: dict[str, Any] = {
            "rule_id": rule.id,
            "user_id": one.user_id,
            "vendor": one.vendor,
            "model": one.model,
            "began_at": one.hour,
            "last_at": one.hour,
            "level": one.level,
            "facts": facts,
            "told_at": now,
        }
        seq = connection.execute(sa.insert(alert_episodes).values(**values).returning(alert_episodes.c.seq)).scalar_one()
        told[series_of(one)].append(_Told(seq, one.hour, one.hour, one.level, facts))
        return _put(connection, rule, seq, "alert", one, now, not_before)
    series, before = max(fitting, key=lambda found: (found[0] == series_of(one), found[1].began_at))
    changed: dict[str, Any] = {
        "began_at": min(before.began_at, one.hour),
        "last_at": max(before.last_at, one.hour),
        "facts": findings.stronger(findings.load(before.facts), one).dump(),
        "level": max(before.level, one.level, key=outbox.LEVELS.index),
    }
    after = replace(before, **changed)
    if after == before:
        return 0
    connection.execute(sa.update(alert_episodes).where(alert_episodes.c.seq == before.seq).values(**changed))
    told[series][told[series].index(before)] = after
    return _put(connection, rule, after.seq, "alert", one, now, not_before) if after.level != before.level else 0


def _told_of(one: Finding) -> set[Series]:
    """Whose episodes it may belong to: a running hour may stand out over all models first, and in one of them minutes later."""
    return {series_of(one), (one.user_id, one.vendor, ""), (one.user_id, "", "")} if one.kind == "spike" else {series_of(one)}


def _put(connection: Connection, rule: Rule, seq: int, what: str, one: Finding, now: datetime, not_before: datetime | None) -> int:
    made = outbox.put(
        connection,
        kind=what,
        dedupe_key=f"{rule.id}:{seq}:{what}:{one.level if what == 'alert' else ''}",
        rule_id=rule.id,
        user_id=rule.owner.id,
        about_user_id=one.user_id,
        facts=one.dump(),
        now=now,
        not_before=not_before,
    )
    return int(made is not None)
