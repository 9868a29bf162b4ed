"""Alert rules, what they found, the outbox, and schedules of reports."""

import sqlalchemy as sa
from alembic import op

from byok.accounts.tables import Instant

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _user(table: str, column: str = "user_id") -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], ["users.id"], name=f"fk_{table}_{column}", ondelete="CASCADE")


def _rule(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["rule_id"], ["alert_rules.id"], name=f"fk_{table}_rule_id", ondelete="CASCADE")


def upgrade() -> None:
    op.create_table(
        "alert_rules",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("user_id", sa.String, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("all_users", sa.Boolean, nullable=False),
        sa.Column("metric", sa.String),
        sa.Column("vendor", sa.String),
        sa.Column("model", sa.String),
        sa.Column("least_score", sa.Float, nullable=False),
        sa.Column("min_tokens", sa.BigInteger, nullable=False),
        sa.Column("warn_at", sa.Float),
        sa.Column("alert_at", sa.Float),
        sa.Column("window", sa.String),
        sa.Column("silent_hours", sa.Integer),
        sa.Column("quiet_from", sa.String),
        sa.Column("quiet_until", sa.String),
        sa.Column("channel", sa.String, nullable=False),
        sa.Column("address", sa.String),
        sa.Column("host", sa.String),
        sa.Column("last_four", sa.String),
        sa.Column("version", sa.Integer),
        sa.Column("kek_id", sa.String),
        sa.Column("wrapped_key", sa.LargeBinary),
        sa.Column("sealed_secret", sa.LargeBinary),
        sa.PrimaryKeyConstraint("id", name="pk_alert_rules"),
        _user("alert_rules"),
    )
    op.create_table(
        "alert_episodes",
        sa.Column("seq", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("rule_id", sa.String, nullable=False),
        sa.Column("user_id", sa.String, nullable=False),
        sa.Column("vendor", sa.String, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("began_at", Instant, nullable=False),
        sa.Column("last_at", Instant, nullable=False),
        sa.Column("level", sa.String, nullable=False),
        sa.Column("facts", sa.String, nullable=False),
        sa.Column("told_at", Instant, nullable=False),
        sa.Column("closed_at", Instant),
        sa.PrimaryKeyConstraint("seq", name="pk_alert_episodes"),
        _rule("alert_episodes"),
        _user("alert_episodes"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("rule_id", sa.String),
        sa.Column("user_id", sa.String, nullable=False),
        sa.Column("about_user_id", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("dedupe_key", sa.String, nullable=False),
        sa.Column("facts", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("result", sa.String),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("in_flight", sa.Boolean, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("next_try_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
        sa.Column("last_try_at", Instant),
        sa.Column("ended_at", Instant),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.UniqueConstraint("dedupe_key", name="uq_deliveries_dedupe_key"),
        _rule("deliveries"),
        _user("deliveries"),
        _user("deliveries", "about_user_id"),
    )
    op.create_table(
        "report_schedules",
        sa.Column("user_id", sa.String, nullable=False),
        sa.Column("period", sa.String, nullable=False),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("tz", sa.String, nullable=False),
        sa.Column("csv", sa.Boolean, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("next_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_report_schedules"),
        _user("report_schedules"),
    )
    for table, columns in (
        ("alert_rules", ["user_id", "kek_id"]),
        ("alert_episodes", ["rule_id", "user_id"]),
        ("deliveries", ["rule_id", "user_id", "about_user_id"]),
        ("report_schedules", ["next_at"]),
    ):
        for column in columns:
            op.create_index(f"ix_{table}_{column}", table, [column])
    op.create_index("ix_deliveries_due", "deliveries", ["status", "next_try_at"])


def downgrade() -> None:
    for table in ("report_schedules", "deliveries", "alert_episodes", "alert_rules"):
        op.drop_table(table)
