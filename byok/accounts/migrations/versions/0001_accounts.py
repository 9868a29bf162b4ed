"""The first tables: users and what belongs to them, keys, tombstones, receipts, facts of jobs."""

import sqlalchemy as sa
from alembic import op

from byok.accounts.tables import Instant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("email", sa.String, nullable=False),
        sa.Column("name", sa.String),
        sa.Column("plan", sa.String, nullable=False),
        sa.Column("retention_days", sa.Integer),
        sa.Column("admin", sa.Boolean, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("tz", sa.String, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("tokens_since", Instant),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
    )
    op.create_table(
        "password_hashes",
        *_owner("password_hashes"),
        sa.Column("hash", sa.String, nullable=False),
        sa.Column("changed_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_password_hashes"),
    )
    op.create_table(
        "password_links",
        sa.Column("secret_hash", sa.String, nullable=False),
        *_owner("password_links"),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("secret_hash", name="pk_password_links"),
    )
    op.create_table(
        "sign_in_delays",
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("failed_at", Instant, nullable=False),
        sa.Column("wait_until", Instant, nullable=False),
        sa.PrimaryKeyConstraint("subject", name="pk_sign_in_delays"),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("secret_hash", sa.String, nullable=False),
        *_owner("sessions"),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("seen_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("secret_hash", name="uq_sessions_secret_hash"),
    )
    op.create_table(
        "access_tokens",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("secret_hash", sa.String, nullable=False),
        *_owner("access_tokens"),
        sa.Column("label", sa.String, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("last_used_at", Instant),
        sa.Column("expires_at", Instant),
        sa.PrimaryKeyConstraint("id", name="pk_access_tokens"),
    )
    op.create_table(
        "vendor_keys",
        sa.Column("id", sa.String, nullable=False),
        *_owner("vendor_keys"),
        sa.Column("vendor", sa.String, nullable=False),
        sa.Column("label", sa.String, nullable=False),
        sa.Column("last_four", sa.String, nullable=False),
        sa.Column("is_default", sa.Boolean, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("last_used_at", Instant),
        sa.Column("refused_at", Instant),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("kek_id", sa.String, nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_vendor_keys"),
    )
    op.create_table(
        "master_keys",
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("kek_id", sa.String, nullable=False),
        sa.Column("check_value", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_master_keys"),
        sa.UniqueConstraint("kek_id", name="uq_master_keys_kek_id"),
    )
    op.create_table(
        "tombstones",
        sa.Column("id_hash", sa.String, nullable=False),
        sa.Column("erased_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("id_hash", name="pk_tombstones"),
    )
    op.create_table(
        "receipts",
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("receipt", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("dry_run", sa.Boolean, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("files", sa.Integer, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("at", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_receipts"),
        sa.UniqueConstraint("receipt", name="uq_receipts_receipt"),
    )
    op.create_table(
        "jobs",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("value", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_jobs"),
    )
    for table in ("password_links", "sessions", "access_tokens", "vendor_keys"):
        op.create_index(f"ix_{table}_user_id", table, ["user_id"])
    op.create_index("ix_vendor_keys_kek_id", "vendor_keys", ["kek_id"])
    one_per_vendor = sa.text("is_default")
    op.create_index(
        "uq_vendor_keys_default",
        "vendor_keys",
        ["user_id", "vendor"],
        unique=True,
        sqlite_where=one_per_vendor,
        postgresql_where=one_per_vendor,
    )


def downgrade() -> None:
    raise NotImplementedError("before the first tables there is nothing: restore a backup instead")


def _owner(table: str) -> tuple[sa.Column[str], sa.ForeignKeyConstraint]:
    gone_with_the_user = sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=f"fk_{table}_user_id", ondelete="CASCADE")
    return sa.Column("user_id", sa.String, nullable=False), gone_with_the_user
