"""Rules as lists show them: commands, API and page alike. Of a web address only host and last four characters."""

from collections.abc import Iterable
from typing import Any, cast

from byok.accounts.alert_rules import MIN_TOKENS, SENSITIVITY, Kind, Metric, Rule, Target, Terms, Window
from byok.accounts.database import Database
from byok.accounts.key_vault import Secret
from byok.errors import BadRequest
from byok.notify import outbox, outgoing
from byok.notify.findings import amount
from byok.notify.outbox import Delivery
from byok.settings import Settings


def target(settings: Settings, channel: str, text: str | None) -> Target:
    """Where a rule is to send: `text` is a web address, or of a mail the address (None: the owner's). Raises `WebhookNotAllowed`."""
    if channel == "mail":
        return Target("mail", address=text or None)
    url = (text or "").strip()
    place = outgoing.allowed(url, settings.webhook_hosts)
    return Target("slack" if channel == "slack" else "webhook", Secret(url), place.host)


def terms(
    *,
    all_users: bool = False,
    metric: str | None = None,
    vendor: str | None = None,
    model: str | None = None,
    sensitivity: str = "every",
    min_tokens: int = MIN_TOKENS,
    warn_at: float | None = None,
    alert_at: float | None = None,
    window: str = "hour",
    silent_hours: int | None = None,
    first_use: bool = False,
    budgets: bool = False,
    quiet: str | None = None,
) -> Terms:
    """The terms of a rule as people say them: a threshold, silence, first uses or budgets where one is named, else spikes.

    `quiet`: HH:MM-HH:MM. Raises `BadRequest` for two at once; `alert_rules.add` looks at the values.
    """
    fixed = warn_at is not None or alert_at is not None
    named: dict[Kind, bool] = {"above": fixed, "silence": silent_hours is not None, "first_use": first_use, "budget": budgets}
    kinds: list[Kind] = [kind for kind, meant in named.items() if meant] or ["spike"]
    if len(kinds) > 1:
        raise BadRequest("A rule is for a threshold, silence, first uses or budgets: for one of them.", remedy="Make two rules.")
    if window != "hour" and not fixed:
        raise BadRequest("A window is of a threshold, and none is named.", remedy="Name an amount (`--above`, `alert_at`), or no window.")
    if sensitivity != "every" and kinds != ["spike"]:
        raise BadRequest("A sensitivity is of spikes, and this rule is for something else.", remedy="Leave it out, or make two rules.")
    begin, _, end = (quiet or "").partition("-")
    return Terms(
        kind=kinds[0],
        all_users=all_users,
        metric=cast(Metric | None, metric or ("tokens" if fixed else None)),
        vendor=vendor or None,
        model=model or None,
        least_score=SENSITIVITY.get(sensitivity, -1.0),
        min_tokens=min_tokens,
        warn_at=warn_at,
        alert_at=alert_at,
        window=cast(Window, window) if fixed else None,
        silent_hours=silent_hours,
        quiet_from=begin.strip() or None,
        quiet_until=end.strip() or None,
    )


def rows(db: Database, rules: Iterable[Rule]) -> list[dict[str, Any]]:
    """Each rule with its terms and `last`, its newest delivery (None: none yet)."""
    listed = list(rules)
    last = outbox.last_of_rules(db, [rule.id for rule in listed])
    return [row(rule, last.get(rule.id)) for rule in listed]


def row(rule: Rule, last: Delivery | None) -> dict[str, Any]:
    """One rule; instants are aware datetimes."""
    terms = rule.terms
    quiet = f"{terms.quiet_from}-{terms.quiet_until}" if terms.quiet_from else None
    return {
        "id": rule.id,
        "email": rule.owner.email,
        "channel": rule.channel,
        "to": rule.to,
        "kind": terms.kind,
        "all_users": terms.all_users,
        "metric": terms.metric,
        "vendor": terms.vendor,
        "model": terms.model,
        "least_score": terms.least_score,
        "min_tokens": terms.min_tokens,
        "warn_at": terms.warn_at,
        "alert_at": terms.alert_at,
        "window": terms.window,
        "silent_hours": terms.silent_hours,
        "quiet": quiet,
        "paused": rule.paused,
        "created": rule.created_at,
        "last": delivery(last) if last else None,
    }


def delivery(one: Delivery) -> dict[str, Any]:
    """One delivery: `status` is pending, sent, refused or expired, `result` what came of its last try."""
    names = ("id", "kind", "status", "result", "tries", "created_at", "last_try_at", "ended_at")
    facts: dict[str, Any] = {name: getattr(one, name) for name in names}
    return facts | {"next_try_at": one.next_try_at if one.status == "pending" else None}


def when(rule: Rule) -> str:
    """What a rule waits for, in words."""
    terms = rule.terms
    who = "anybody's" if terms.all_users else "own"
    where = "/".join(filter(None, (terms.vendor, terms.model)))
    scope = f"{who} {where + ' ' if where else ''}calls"
    if terms.kind == "silence":
        return f"no {scope} for {terms.silent_hours} h, where there usually are some"
    if terms.kind == "first_use":
        return f"first use of a model or key in {scope}"
    if terms.kind == "budget":
        return f"{who} {where + ' ' if where else ''}budgets: 80 %, all of it, or where the month leads"
    if terms.kind == "above":
        metric = terms.metric or "tokens"
        limits = [f"{word} at {amount(metric, at)}" for word, at in (("warn", terms.warn_at), ("alert", terms.alert_at)) if at is not None]
        return f"{scope}: {', '.join(limits)} per {terms.window}"
    what = f"spikes of {terms.metric}" if terms.metric else "spikes"
    stronger = f", score {terms.least_score:g} and more" if terms.least_score > 0.5 else ""
    return f"{what} in {scope}{stronger}, hours of {terms.min_tokens:,} tokens and more"


def status(last: Delivery | None) -> str:
    """How the last delivery went, in one word or two."""
    if last is None:
        return "nothing sent yet"
    said = f" ({last.result})" if last.result else ""
    return f"{last.status}{said}"
