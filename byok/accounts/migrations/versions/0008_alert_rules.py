"""Alert rules that rest, and which budgets' warnings went out."""

import sqlalchemy as sa
from alembic import op

from byok.accounts.tables import Instant

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alert_rules", sa.Column("paused", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("alert_rules", sa.Column("resumed_at", Instant))
    op.create_table(
        "budget_tellings",
        sa.Column("rule_id", sa.String, nullable=False),
        sa.Column("budget_id", sa.String, nullable=False),
        sa.Column("occasion", sa.String, nullable=False),
        sa.Column("told_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("rule_id", "budget_id", "occasion", name="pk_budget_tellings"),
        sa.ForeignKeyConstraint(["rule_id"], ["alert_rules.id"], name="fk_budget_tellings_rule_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["budget_id"], ["budgets.id"], name="fk_budget_tellings_budget_id", ondelete="CASCADE"),
    )
    op.create_index("ix_budget_tellings_budget_id", "budget_tellings", ["budget_id"])


def downgrade() -> None:
    op.drop_table("budget_tellings")
    op.drop_column("alert_rules", "resumed_at")
    op.drop_column("alert_rules", "paused")
