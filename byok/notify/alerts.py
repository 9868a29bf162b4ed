"""Who is told what, once: every rule looks at the last day, and what is new goes into the outbox. Causal and repeatable: looking again
at the same hours tells nothing again, so a check that was killed is simply made anew."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb
import structlog

from byok import zones
from byok.accounts import alert_rules
from byok.accounts.alert_rules import Metric, Rule, Terms
from byok.errors import ByokError
from byok.notify import budget_warnings, episodes, first_uses, quiet
from byok.notify.findings import Finding, amount
from byok.notify.source import Spikes
from byok.services import Services
from byok.spikes.episodes import Spike
from byok.store import news, questions
from byok.store.scope import AnyScope, EveryonesScope, Scope
from byok.zones import EARLIEST, LATEST

log = structlog.get_logger("byok.notify")

TOLD_UNTIL = timedelta(hours=24)  # hours that ended longer ago are told to nobody
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_KNOWN_FOR = timedelta(days=7)  # silence is news only of somebody who called within the week before
_MOST_SILENT, _MOST_LOOKED_AT = 200, 2000  # whose last call is looked up in one check, and whose usual calls
_FEWEST_MISSED = 1.0  # usual calls in the silent hours
SpikeKey = tuple[datetime, str, str, str]
_FIELD = {"tokens": "total_tokens", "calls": "calls", "failed": "failed", "cost": "cost_usd"}


def check(
    services: Services, spikes: Spikes, *, now: datetime, thorough: bool = True, by_metric: Mapping[Metric | None, Spikes] | None = None
) -> int:
    """Look at all rules and put what is new into the outbox; how many messages that were. `spikes` gives the rows of a scope.

    `by_metric`: gives those of one metric alone, for the rules about it; without, such a rule hears of hours of which it is the strongest.
    `thorough`: also at what is dear to find and no hurry, first uses and where budgets lead.
    """
    every = [rule for rule in alert_rules.all_rules(services.db) if _may_look(rule)]
    rules = [rule for rule in every if not rule.paused]
    put = 0
    for metric, some in _by_metric(rule for rule in rules if rule.terms.kind == "spike").items():
        put += _spikes(services, some, (by_metric or {}).get(metric, spikes), now)
    put += budget_warnings.check(services, every, now=now, held=quiet.until, ahead=thorough)
    if thorough:
        firsts = [rule for rule in rules if rule.terms.kind == "first_use"]
        put += first_uses.check(services, firsts, now=now, since=now - TOLD_UNTIL, held=quiet.until)
    above = [rule for rule in rules if rule.terms.kind == "above"]
    put += _of_each(above, lambda rule: _told(services, rule, _above(services, rule, now), now))
    silences = [rule for rule in rules if rule.terms.kind == "silence"]
    return put + _of_each(silences, lambda rule: _silence(services, rule, now))


def _of_each(rules: Iterable[Rule], tell: Callable[[Rule], int]) -> int:
    """How many messages these rules made, each of which asks questions of its own: one that fails keeps no other from being told."""
    put = 0
    for rule in rules:
        try:
            put += tell(rule)
        except (ByokError, duckdb.Error) as error:
            log.error("rule_failed", user_id=rule.owner.id, kind=rule.terms.kind, exc_info=error)
    return put


def matches(rule: Rule, one: Spike, tokens: float) -> bool:
    """Whether a rule speaks of this spike, in an hour of so many tokens."""
    return (rule.terms.all_users or one.user_id == rule.owner.id) and fits(rule.terms, one, tokens)


def fits(terms: Terms, one: Spike, tokens: float) -> bool:
    """Whether a spike of whoever is watched is one that these terms mean."""
    return (
        terms.metric in (None, one.metric)
        and terms.vendor in (None, one.vendor)
        and terms.model in (None, one.model)
        and one.score >= terms.least_score
        and tokens >= terms.min_tokens
    )


def _may_look(rule: Rule) -> bool:
    return not rule.owner.disabled and (rule.owner.admin or not rule.terms.all_users)


def _told(services: Services, rule: Rule, found: Sequence[Finding], now: datetime) -> int:
    held = quiet.until(rule, now)
    if rule.resumed_at is not None:
        found = [one for one in found if one.hour + one.step > rule.resumed_at]
    put = episodes.tell(services.db, rule, found, now=now, not_before=held)
    return put + episodes.close(services.db, rule, now=now, not_before=held)


def _by_metric(rules: Iterable[Rule]) -> Mapping[Metric | None, list[Rule]]:
    found: dict[Metric | None, list[Rule]] = defaultdict(list)
    for rule in rules:
        found[rule.terms.metric].append(rule)
    return found


def _spikes(services: Services, rules: Sequence[Rule], spikes: Spikes, now: datetime) -> int:
    everyone = any(rule.terms.all_users for rule in rules)
    owners = () if everyone else tuple(sorted({rule.owner.id for rule in rules}))
    since = _floor(now - TOLD_UNTIL)  # an hour that began before it has ended by then
    recent = [one for one in spikes(EveryonesScope(since, now, user_ids=owners)) if now - TOLD_UNTIL < one.hour + HOUR and one.hour <= now]
    tokens = tokens_of(services, recent)
    put = 0
    for rule in rules:
        found = [_of_spike(one) for one in recent if matches(rule, one, tokens[key_of(one)])]
        put += _told(services, rule, found, now)
    return put


def tokens_of(services: Services, spikes: Sequence[Spike]) -> Mapping[SpikeKey, float]:
    """The tokens of each spike's hour by its `key_of`: its own figure, or for another metric those of the same hour and series."""
    known = {key_of(one): one.actual if one.metric == "tokens" else 0.0 for one in spikes}
    others = [one for one in spikes if one.metric != "tokens"]
    if others:
        asked, users = {key_of(one) for one in others}, tuple(sorted({one.user_id for one in others}))
        scope = EveryonesScope(min(one.hour for one in others), max(one.hour for one in others) + HOUR, user_ids=users)
        for row in questions.usage(services.engine, scope, group_by=("hour", "user_id", "vendor", "model")).rows:
            hour, series = datetime.fromisoformat(row["hour"]).astimezone(UTC), (row["vendor"], row["model"])
            for part in (series, (row["vendor"], ""), ("", "")):
                if (key := (hour, row["user_id"], *part)) in asked:
                    known[key] += float(row["total_tokens"])
    return known


def key_of(one: Spike) -> SpikeKey:
    """Its hour and series: there is one spike of these at most."""
    return one.hour.astimezone(UTC), one.user_id, one.vendor, one.model


def _of_spike(one: Spike) -> Finding:
    figures = (float(one.actual), float(one.usual), None if one.times is None else float(one.times), float(one.score))
    return Finding("spike", one.user_id, one.vendor, one.model, one.metric, one.hour.astimezone(UTC), HOUR, *figures, "alert", one.why)


def _above(services: Services, rule: Rule, now: datetime) -> list[Finding]:
    """The running window and the one before it, in which the threshold may have been reached since the last look."""
    terms = rule.terms
    found = []
    for since, until in _windows(terms.window or "hour", rule.owner.tz, now):
        if until < rule.created_at:
            continue
        for user_id, value in _sums(services, rule, since, until).items():
            reached = [(level, at) for level, at in (("alert", terms.alert_at), ("warn", terms.warn_at)) if at is not None and value >= at]
            if reached:
                found.append(_of_window(rule, user_id, since, value, *reached[0]))
    return found


def _of_window(rule: Rule, user_id: str, since: datetime, value: float, level: str, at: float) -> Finding:
    terms = rule.terms
    metric = terms.metric or "tokens"
    step = HOUR if terms.window == "hour" else DAY
    why = f"{'Warning' if level == 'warn' else 'Alert'} at {amount(metric, at)} per {terms.window}."
    series = (terms.vendor or "", terms.model or "")
    return Finding("above", user_id, *series, metric, since.astimezone(UTC), step, value, at, value / at, 1.0, level, why)


def _windows(window: str, tz: str, now: datetime) -> list[tuple[datetime, datetime]]:
    if window == "hour":
        return [(_floor(now) - HOUR, _floor(now)), (_floor(now), now)]
    today = now.astimezone(ZoneInfo(tz)).date()
    begin = zones.midnight(today, tz)
    return [(zones.midnight(today - DAY, tz), begin), (begin, now)]


def _sums(services: Services, rule: Rule, since: datetime, until: datetime) -> dict[str, float]:
    """User id -> the rule's metric within a window."""
    metric = rule.terms.metric or "tokens"
    groups: tuple[str, ...] = ("user_id",) if rule.terms.all_users else ("vendor",)
    answer = questions.usage(services.engine, _scope(rule, since, until), group_by=groups, cost=metric == "cost")
    sums: dict[str, float] = {}
    for row in answer.rows:
        user_id = row["user_id"] if rule.terms.all_users else rule.owner.id
        sums[user_id] = sums.get(user_id, 0.0) + float(row[_FIELD[metric]] or 0)
    return sums


def _silence(services: Services, rule: Rule, now: datetime) -> int:
    hours = rule.terms.silent_hours or 1
    since = now - timedelta(hours=hours)
    calling = _callers(services, rule, since, now)
    silent = _callers(services, rule, since - _KNOWN_FOR, since) - calling
    series = (rule.terms.vendor or "", rule.terms.model or "")
    told = episodes.open_series(services.db, rule)
    new = _missed(services, rule, {user_id for user_id in silent if (user_id, *series) not in told}, hours)[:_MOST_SILENT]
    held = quiet.until(rule, now)
    put = episodes.tell(services.db, rule, _last_calls(services, rule, new, now), now=now, not_before=held)
    still = {one for one in told if one[0] not in calling} | {(user_id, *series) for user_id in new}
    return put + episodes.close(services.db, rule, now=now, still=still, not_before=held)


def _missed(services: Services, rule: Rule, silent: set[str], hours: int) -> list[str]:
    """Those of the silent who usually call in these hours, or of whom that is not known yet: nights and weekends are no silence."""
    asked = sorted(silent)[:_MOST_LOOKED_AT]
    if not asked:
        return []
    scope = EveryonesScope(EARLIEST, LATEST, vendors=_one(rule.terms.vendor), models=_one(rule.terms.model), user_ids=tuple(asked))
    usual = news.usual_calls_of(services.engine, scope, hours=hours)
    return [user_id for user_id in asked if usual.get(user_id, _FEWEST_MISSED) >= _FEWEST_MISSED]


def _callers(services: Services, rule: Rule, since: datetime, until: datetime) -> set[str]:
    answer = questions.usage(services.engine, _scope(rule, since, until), group_by=("user_id",) if rule.terms.all_users else ("vendor",))
    return {row["user_id"] if rule.terms.all_users else rule.owner.id for row in answer.rows}


def _last_calls(services: Services, rule: Rule, user_ids: Iterable[str], now: datetime) -> list[Finding]:
    found = []
    for user_id in user_ids:
        last = questions.newest(services.engine, _of_one(rule, user_id, now - _KNOWN_FOR - DAY * 8, now))
        if last is not None:
            hours = (now - last) / HOUR
            series = (rule.terms.vendor or "", rule.terms.model or "")
            found.append(Finding("silence", user_id, *series, "calls", last.astimezone(UTC), HOUR, hours, 0.0, None, 1.0, "alert", ""))
    return found


def _scope(rule: Rule, since: datetime, until: datetime) -> AnyScope:
    if rule.terms.all_users:
        return EveryonesScope(since, until, vendors=_one(rule.terms.vendor), models=_one(rule.terms.model))
    return _of_one(rule, rule.owner.id, since, until)


def _of_one(rule: Rule, user_id: str, since: datetime, until: datetime) -> Scope:
    return Scope(user_id, since, until, vendors=_one(rule.terms.vendor), models=_one(rule.terms.model))


def _one(name: str | None) -> tuple[str, ...]:
    return (name,) if name else ()


def _floor(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
