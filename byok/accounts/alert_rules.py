"""Alert rules: what is watched for whom, and where the word goes. A web address is a secret, sealed like a vendor key."""

import json
import re
import secrets
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal, get_args

import sqlalchemy as sa

from byok.accounts import envelope
from byok.accounts.checks import CLOCK
from byok.accounts.database import Database
from byok.accounts.errors import RulesTooMany, UserUnknown, WebhookUnreadable
from byok.accounts.ids import is_id, new_id
from byok.accounts.key_vault import Secret
from byok.accounts.master_key import Purpose, refuse_replaced
from byok.accounts.tables import Instant, alert_episodes, alert_rules, users
from byok.accounts.users import User, from_row, is_email, normal_email
from byok.errors import BadRequest

Kind = Literal["spike", "above", "silence", "first_use", "budget"]
Metric = Literal["tokens", "calls", "failed", "cost"]
Window = Literal["hour", "day"]
Channel = Literal["slack", "webhook", "mail"]

PURPOSE: Purpose = "webhook-wrap"
MOST_RULES = 50  # of one user
LEAST_SCORE, MIN_TOKENS = 0.5, 1000
SENSITIVITY = {"every": 0.5, "strong": 0.7, "extreme": 0.9}  # word -> the least score of a spike that is told
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,95}")
_MOST = 1e15


@dataclass(frozen=True, slots=True)
class Terms:
    """When a rule speaks. Amounts are in the metric's unit (cost: USD), times of day are of the owner's zone.

    `spike`: an hour with a score of `least_score` or more. `above`: `warn_at` or `alert_at` reached within a `window`.
    `silence`: no call for `silent_hours`. `first_use`: of a model or key in eight weeks. `budget`: four fifths or all of one is used up, or
    will be. Hours with fewer than `min_tokens` tokens are no spikes.
    """

    kind: Kind = "spike"
    all_users: bool = False
    metric: Metric | None = None
    vendor: str | None = None
    model: str | None = None
    least_score: float = LEAST_SCORE
    min_tokens: int = MIN_TOKENS
    warn_at: float | None = None
    alert_at: float | None = None
    window: Window | None = None
    silent_hours: int | None = None
    quiet_from: str | None = None
    quiet_until: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Where to: a web address (`url`, on `host`), or a mail to `address` (None: the owner's)."""

    channel: Channel
    url: Secret | None = None
    host: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as it can be shown: of a web address only host and last four characters. `email` and `tz` are its owner's.

    A `paused` one tells nothing; afterwards nothing that was over before `resumed_at`.
    """

    id: str
    owner: User
    created_at: datetime
    terms: Terms
    channel: Channel
    address: str | None
    host: str | None
    last_four: str | None
    paused: bool = False
    resumed_at: datetime | None = None

    @property
    def to(self) -> str:
        """Where it goes, as it is shown."""
        return f"{self.host} …{self.last_four}" if self.channel != "mail" else self.address or self.owner.email


def add(db: Database, master: bytes, user_id: str, terms: Terms, target: Target, *, now: datetime) -> tuple[Rule, Secret | None]:
    """Store a rule; returns it, and for a webhook the secret that its messages are signed with, which is never shown again.

    Whether the web address may be used at all was checked before (`byok.notify.outgoing`). Raises `BadRequest` for terms that make no
    sense, `RulesTooMany`, `UserUnknown`, `MasterKeyReplaced`.
    """
    _check(terms, target)
    rule_id = new_id("alr_")
    signing = Secret(f"whs_{secrets.token_urlsafe(32)}") if target.channel == "webhook" else None
    values = {"id": rule_id, "user_id": user_id, "created_at": now, **asdict(terms), "channel": target.channel}
    if target.url is None:
        values["address"] = normal_email(target.address) if target.address else None
    else:
        url = target.url.reveal()
        text = json.dumps({"url": url, "key": signing.reveal() if signing else None})
        sealed = envelope.seal(master, PURPOSE, (user_id, rule_id, target.channel), text)
        values |= {"host": target.host, "last_four": url[-4:], **asdict(sealed)}
    with db.writing() as connection:
        refuse_replaced(connection, values.get("kek_id"))
        owner = connection.execute(sa.select(users).where(users.c.id == user_id).with_for_update()).first()
        if owner is None:
            raise UserUnknown
        if terms.all_users and not owner.admin:
            raise BadRequest("Only an admin's rule may watch all users.", remedy="Leave --all-users out, or make the user an admin.")
        count = sa.select(sa.func.count()).select_from(alert_rules).where(alert_rules.c.user_id == user_id)
        if connection.execute(count).scalar_one() >= MOST_RULES:
            raise RulesTooMany(MOST_RULES)
        connection.execute(sa.insert(alert_rules).values(**values))
    return _select(db, alert_rules.c.id == rule_id)[0], signing


def get(db: Database, rule_id: str) -> Rule | None:
    """The rule of that id, whoever owns it: the caller looks at the owner."""
    found = _select(db, alert_rules.c.id == rule_id) if is_id(rule_id) else []
    return found[0] if found else None


def of_user(db: Database, user_id: str) -> list[Rule]:
    """A user's rules, oldest first."""
    return _select(db, alert_rules.c.user_id == user_id)


def all_rules(db: Database) -> list[Rule]:
    """Everyone's rules, oldest first: for whoever evaluates them, and operators."""
    return _select(db, sa.true())


def remove(db: Database, user_id: str, rule_id: str) -> bool:
    """Delete the rule if it is this user's, with what it found and what it sent; returns whether it was."""
    if not is_id(rule_id):
        return False
    with db.writing() as connection:
        gone = sa.delete(alert_rules).where(alert_rules.c.id == rule_id, alert_rules.c.user_id == user_id)
        return bool(connection.execute(gone).rowcount)


def pause(db: Database, user_id: str, rule_id: str, paused: bool, *, now: datetime) -> bool:
    """Let the rule rest, or hold again, if it is this user's; returns whether it was. What it was still to send is dropped when due."""
    if not is_id(rule_id):
        return False
    mine = (alert_rules.c.id == rule_id) & (alert_rules.c.user_id == user_id)
    resumed = {} if paused else {"resumed_at": sa.case((alert_rules.c.paused, sa.literal(now, Instant)), else_=alert_rules.c.resumed_at)}
    with db.writing() as connection:
        found = bool(connection.execute(sa.update(alert_rules).where(mine).values(paused=paused, **resumed)).rowcount)
        if found and paused:
            going_on = (alert_episodes.c.rule_id == rule_id) & alert_episodes.c.closed_at.is_(None)
            connection.execute(sa.update(alert_episodes).where(going_on).values(closed_at=now))
        return found


def web_address(db: Database, master: bytes, rule: Rule) -> tuple[Secret, Secret | None]:
    """The address that a Slack or webhook rule sends to, and the secret it signs with. Raises `WebhookUnreadable`."""
    with db.reading() as connection:
        row = connection.execute(sa.select(alert_rules).where(alert_rules.c.id == rule.id)).first()
    if row is None or row.sealed_secret is None:
        raise WebhookUnreadable
    sealed = envelope.Envelope(row.version, row.kek_id, row.wrapped_key, row.sealed_secret)
    try:
        held = json.loads(envelope.unseal(master, PURPOSE, identity(row), sealed))
    except envelope.EnvelopeBroken:
        raise WebhookUnreadable from None
    return Secret(held["url"]), Secret(held["key"]) if held["key"] else None


def identity(row: Any) -> tuple[str, ...]:
    """What the envelope of a row is bound to."""
    return row.user_id, row.id, row.channel


def _select(db: Database, which: sa.ColumnElement[bool]) -> list[Rule]:
    mine = [alert_rules.c[name].label(f"rule_{name}") for name in alert_rules.c.keys()]  # noqa: SIM118 - not a dict
    order = (alert_rules.c.created_at, alert_rules.c.id)
    with db.reading() as connection:
        return [_rule(row) for row in connection.execute(sa.select(*mine, *users.c).join(users).where(which).order_by(*order))]


def _rule(row: Any) -> Rule:
    terms = Terms(**{field.name: getattr(row, f"rule_{field.name}") for field in fields(Terms)})
    return Rule(
        row.rule_id, from_row(row), row.rule_created_at, terms, row.rule_channel, row.rule_address, row.rule_host, row.rule_last_four,
        row.rule_paused, row.rule_resumed_at,
    )  # fmt: skip


def _check(terms: Terms, target: Target) -> None:
    for what, value, shape in (("vendor", terms.vendor, "a name such as openai"), ("model", terms.model, "a name such as gpt-4o-mini")):
        _insist(value is None or bool(_NAME.fullmatch(value)), what, shape)
    _insist(terms.kind in get_args(Kind), "kind", " or ".join(get_args(Kind)))
    _insist(terms.metric is None or terms.metric in get_args(Metric), "metric", " or ".join(get_args(Metric)))
    _insist(0 <= terms.least_score <= 1, "sensitivity", "a score from 0 to 1")
    _insist(0 <= terms.min_tokens <= _MOST, "least number of tokens", "a whole number from 0 up")
    for clock in (terms.quiet_from, terms.quiet_until):
        _insist(clock is None or bool(CLOCK.fullmatch(clock)), "quiet time", "HH:MM-HH:MM, such as 22:00-07:00")
    _insist((terms.quiet_from is None) == (terms.quiet_until is None), "quiet time", "HH:MM-HH:MM, such as 22:00-07:00")
    _insist(terms.quiet_from is None or terms.quiet_from != terms.quiet_until, "quiet time", "shorter than a day")
    if terms.kind == "above":
        limits = [limit for limit in (terms.warn_at, terms.alert_at) if limit is not None]
        _insist(bool(limits) and all(0 < limit <= _MOST for limit in limits), "threshold", "an amount above 0")
        _insist(limits == sorted(limits), "threshold", "a warning at less than the alert")
        _insist(terms.metric is not None and terms.window in get_args(Window), "threshold", "a metric, and hour or day as its window")
    if terms.kind == "silence":
        _insist(terms.silent_hours is not None and 1 <= terms.silent_hours <= 168, "silence", "1 to 168 hours")
    if terms.kind in ("silence", "first_use", "budget"):
        _insist(terms.metric is None, "metric", "left out: this rule has none")
    _insist(terms.kind != "budget" or terms.model is None, "model", "left out: budgets are for vendors and keys")
    _insist(target.channel in get_args(Channel), "channel", " or ".join(get_args(Channel)))
    _insist((target.url is None) == (target.channel == "mail"), "channel", "a web address for Slack and webhooks, none for mail")
    _insist(target.address is None or is_email(target.address), "address", "name@host")


def _insist(holds: bool, what: str, shape: str) -> None:
    if not holds:
        raise BadRequest(f"The {what} of this rule is not valid.", remedy=f"It must be {shape}.")
