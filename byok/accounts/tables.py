"""The tables of the accounts database. A change here needs a step in `migrations/versions`; a test compares the two."""

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

METADATA = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)


class Instant(sa.types.TypeDecorator[datetime]):
    """An aware UTC datetime, in and out. SQLite keeps no zone, so UTC is what lies in it; PostgreSQL has timestamptz."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant needs a zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _owner(*, primary_key: bool = False) -> sa.Column[str]:
    gone_with_the_user = sa.ForeignKey("users.id", ondelete="CASCADE")
    return sa.Column("user_id", sa.String, gone_with_the_user, primary_key=primary_key, nullable=False, index=not primary_key)


users = sa.Table(
    "users",
    METADATA,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("email", sa.String, nullable=False, unique=True),  # lower case
    sa.Column("name", sa.String),
    sa.Column("plan", sa.String, nullable=False),
    sa.Column("retention_days", sa.Integer),  # null: what the plan keeps
    sa.Column("admin", sa.Boolean, nullable=False),
    sa.Column("disabled", sa.Boolean, nullable=False),
    sa.Column("tz", sa.String, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("tokens_since", Instant),  # API tokens issued before this are void
    sa.Column("requests_per_minute", sa.Integer),  # null: what the settings say; 0: no limit
    sa.Column("calls_at_once", sa.Integer),  # the same
)

password_hashes = sa.Table(
    "password_hashes",
    METADATA,
    _owner(primary_key=True),
    sa.Column("hash", sa.String, nullable=False),
    sa.Column("changed_at", Instant, nullable=False),
)

password_links = sa.Table(
    "password_links",
    METADATA,
    sa.Column("secret_hash", sa.String, primary_key=True),
    _owner(),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("expires_at", Instant, nullable=False),
)

sign_in_delays = sa.Table(
    "sign_in_delays",
    METADATA,
    sa.Column("subject", sa.String, primary_key=True),  # a keyed hash of an e-mail or a client address
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("failed_at", Instant, nullable=False),
    sa.Column("wait_until", Instant, nullable=False),
)

sessions = sa.Table(
    "sessions",
    METADATA,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("secret_hash", sa.String, nullable=False, unique=True),
    _owner(),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("seen_at", Instant, nullable=False),
)

identities = sa.Table(
    "identities",
    METADATA,
    sa.Column("issuer", sa.String, primary_key=True),  # of a sign-in service (OpenID Connect)
    sa.Column("subject", sa.String, primary_key=True),  # its own, lasting id of the person
    _owner(),
    sa.Column("created_at", Instant, nullable=False),
)

sign_on_flows = sa.Table(
    "sign_on_flows",
    METADATA,
    sa.Column("secret_hash", sa.String, primary_key=True),
    sa.Column("user_id", sa.String, sa.ForeignKey("users.id", ondelete="CASCADE"), index=True),  # null: whoever comes back
    sa.Column("link_hash", sa.String),  # of the one-time link that began it
    sa.Column("expires_at", Instant, nullable=False),
)

access_tokens = sa.Table(
    "access_tokens",
    METADATA,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("secret_hash", sa.String, nullable=False),
    _owner(),
    sa.Column("label", sa.String, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("last_used_at", Instant),
    sa.Column("expires_at", Instant),
    sa.Column("models", sa.String),  # names and patterns with commas between; null: all models
)

vendor_keys = sa.Table(
    "vendor_keys",
    METADATA,
    sa.Column("id", sa.String, primary_key=True),
    _owner(),
    sa.Column("vendor", sa.String, nullable=False),
    sa.Column("label", sa.String, nullable=False),
    sa.Column("last_four", sa.String, nullable=False),
    sa.Column("is_default", sa.Boolean, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("last_used_at", Instant),
    sa.Column("refused_at", Instant),
    sa.Column("version", sa.Integer, nullable=False),  # of the envelope
    sa.Column("kek_id", sa.String, nullable=False, index=True),  # which master key wraps the data key
    sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
    sa.Column("sealed_secret", sa.LargeBinary, nullable=False),
)
sa.Index(
    "uq_vendor_keys_default",
    vendor_keys.c.user_id,
    vendor_keys.c.vendor,
    unique=True,
    sqlite_where=vendor_keys.c.is_default,
    postgresql_where=vendor_keys.c.is_default,
)

master_keys = sa.Table(
    "master_keys",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),  # the newest wraps
    sa.Column("kek_id", sa.String, nullable=False, unique=True),
    sa.Column("check_value", sa.String, nullable=False),
)

tombstones = sa.Table(
    "tombstones",
    METADATA,
    sa.Column("id_hash", sa.String, primary_key=True),  # SHA-256 hex of an erased user's id
    sa.Column("erased_at", Instant, nullable=False),
)

receipts = sa.Table(
    "receipts",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("receipt", sa.String, nullable=False, unique=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("dry_run", sa.Boolean, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("files", sa.Integer, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("at", sa.String, nullable=False),  # as it was handed out
)

allowed_models = sa.Table(
    "allowed_models",
    METADATA,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("allowed_at", Instant, nullable=False),
)

price_overrides = sa.Table(
    "price_overrides",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("vendor", sa.String, nullable=False),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("since", sa.String, nullable=False),  # a day: it holds from its midnight UTC
    sa.Column("entry", sa.String),  # JSON; null: the catalogue's price again
    sa.Column("set_at", Instant, nullable=False),
    sa.Column("withdrawn_at", Instant),
)

jobs = sa.Table(
    "jobs",
    METADATA,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("value", sa.String, nullable=False),
)

budgets = sa.Table(
    "budgets",
    METADATA,
    sa.Column("id", sa.String, primary_key=True),
    _owner(),
    sa.Column("vendor", sa.String),  # null: all vendors
    sa.Column("key_id", sa.String),  # null: all keys
    sa.Column("metric", sa.String, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),  # a month's: billionths of a USD, or tokens
    sa.Column("hard", sa.Boolean, nullable=False),
    sa.Column("by_admin", sa.Boolean, nullable=False),  # the user cannot change or remove it
    sa.Column("created_at", Instant, nullable=False),
)

budget_figures = sa.Table(
    "budget_figures",
    METADATA,
    sa.Column("budget_id", sa.String, sa.ForeignKey("budgets.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("month", sa.String, nullable=False),  # 2026-11, in the user's zone
    sa.Column("month_ends", Instant, nullable=False),
    sa.Column("spent", sa.BigInteger, nullable=False),  # of the month up to `counted_at`, in the unit of the budget's amount
    sa.Column("unpriced_calls", sa.BigInteger, nullable=False),
    sa.Column("carried", sa.BigInteger, nullable=False),  # the part of `spent` from before `carried_until`: its records may be gone
    sa.Column("carried_until", Instant, nullable=False),
    sa.Column("counted_at", Instant, nullable=False),
    sa.Column("carried_unpriced", sa.BigInteger, nullable=False, server_default="0"),  # the same part of `unpriced_calls`
)

alert_rules = sa.Table(
    "alert_rules",
    METADATA,
    sa.Column("id", sa.String, primary_key=True),
    _owner(),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("kind", sa.String, nullable=False),  # spike, above, silence, first_use or budget
    sa.Column("all_users", sa.Boolean, nullable=False),
    sa.Column("metric", sa.String),  # null: any
    sa.Column("vendor", sa.String),  # null: all
    sa.Column("model", sa.String),  # the same
    sa.Column("least_score", sa.Float, nullable=False),
    sa.Column("min_tokens", sa.BigInteger, nullable=False),
    sa.Column("warn_at", sa.Float),
    sa.Column("alert_at", sa.Float),
    sa.Column("window", sa.String),  # hour or day
    sa.Column("silent_hours", sa.Integer),
    sa.Column("quiet_from", sa.String),  # HH:MM in the owner's zone
    sa.Column("quiet_until", sa.String),
    sa.Column("channel", sa.String, nullable=False),  # slack, webhook or mail
    sa.Column("address", sa.String),  # of a mail; null: the owner's e-mail
    sa.Column("host", sa.String),  # of a web address, and its last four characters: all that is shown of it
    sa.Column("last_four", sa.String),
    sa.Column("version", sa.Integer),  # of the envelope around the web address; null for mail
    sa.Column("kek_id", sa.String, index=True),
    sa.Column("wrapped_key", sa.LargeBinary),
    sa.Column("sealed_secret", sa.LargeBinary),
    sa.Column("paused", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("resumed_at", Instant),  # what was over by then is told to nobody
)


def _of_rule(*, nullable: bool) -> sa.Column[str]:
    return sa.Column("rule_id", sa.String, sa.ForeignKey("alert_rules.id", ondelete="CASCADE"), nullable=nullable, index=True)


alert_episodes = sa.Table(
    "alert_episodes",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    _of_rule(nullable=False),
    _owner(),  # whom it is about
    sa.Column("vendor", sa.String, nullable=False),  # empty: all
    sa.Column("model", sa.String, nullable=False),
    sa.Column("began_at", Instant, nullable=False),
    sa.Column("last_at", Instant, nullable=False),  # begin of its last unusual hour or window
    sa.Column("level", sa.String, nullable=False),  # warn or alert: the higher one that was told
    sa.Column("facts", sa.String, nullable=False),  # its strongest hour, as JSON
    sa.Column("told_at", Instant, nullable=False),
    sa.Column("closed_at", Instant),
)

deliveries = sa.Table(
    "deliveries",
    METADATA,
    sa.Column("id", sa.String, primary_key=True),
    _of_rule(nullable=True),  # null: a report
    _owner(),
    sa.Column("about_user_id", sa.String, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("kind", sa.String, nullable=False),  # alert, resolved, test or report
    sa.Column("dedupe_key", sa.String, nullable=False, unique=True),
    sa.Column("facts", sa.String, nullable=False),  # JSON; the words are made when it is sent
    sa.Column("status", sa.String, nullable=False),  # pending, sent, refused, expired
    sa.Column("result", sa.String),  # of the last try: a status or one of our own words, never the receiver's
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("in_flight", sa.Boolean, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("next_try_at", Instant, nullable=False),
    sa.Column("expires_at", Instant, nullable=False),
    sa.Column("last_try_at", Instant),
    sa.Column("ended_at", Instant),
)
sa.Index("ix_deliveries_due", deliveries.c.status, deliveries.c.next_try_at)

budget_tellings = sa.Table(
    "budget_tellings",
    METADATA,
    sa.Column("rule_id", sa.String, sa.ForeignKey("alert_rules.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("budget_id", sa.String, sa.ForeignKey("budgets.id", ondelete="CASCADE"), primary_key=True, index=True),
    sa.Column("occasion", sa.String, primary_key=True),  # month, amount and level: each is told once
    sa.Column("told_at", Instant, nullable=False),
)

report_schedules = sa.Table(
    "report_schedules",
    METADATA,
    _owner(primary_key=True),
    sa.Column("period", sa.String, nullable=False),  # day, week or month
    sa.Column("at", sa.String, nullable=False),  # HH:MM in tz
    sa.Column("tz", sa.String, nullable=False),
    sa.Column("csv", sa.Boolean, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("next_at", Instant, nullable=False, index=True),
)

saved_views = sa.Table(
    "saved_views",
    METADATA,
    sa.Column("id", sa.String, primary_key=True),
    _owner(),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("page", sa.String, nullable=False),
    sa.Column("query", sa.String, nullable=False),  # names users and keys by their ids only
    sa.Column("created_at", Instant, nullable=False),
    sa.UniqueConstraint("user_id", "name"),
)
