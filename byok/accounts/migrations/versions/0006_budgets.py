"""Budgets per user, vendor or key, and what is counted against them."""

import sqlalchemy as sa
from alembic import op

from byok.accounts.tables import Instant

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "budgets",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("user_id", sa.String, nullable=False),
        sa.Column("vendor", sa.String),
        sa.Column("key_id", sa.String),
        sa.Column("metric", sa.String, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("hard", sa.Boolean, nullable=False),
        sa.Column("by_admin", sa.Boolean, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_budgets"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_budgets_user_id", ondelete="CASCADE"),
    )
    op.create_index("ix_budgets_user_id", "budgets", ["user_id"])
    op.create_table(
        "budget_figures",
        sa.Column("budget_id", sa.String, nullable=False),
        sa.Column("month", sa.String, nullable=False),
        sa.Column("month_ends", Instant, nullable=False),
        sa.Column("spent", sa.BigInteger, nullable=False),
        sa.Column("unpriced_calls", sa.BigInteger, nullable=False),
        sa.Column("carried", sa.BigInteger, nullable=False),
        sa.Column("carried_until", Instant, nullable=False),
        sa.Column("counted_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("budget_id", name="pk_budget_figures"),
        sa.ForeignKeyConstraint(["budget_id"], ["budgets.id"], name="fk_budget_figures_budget_id", ondelete="CASCADE"),
    )


def downgrade() -> None:
    raise NotImplementedError("a hard budget must not vanish: restore a backup instead")
