"""Prices that the operator sets."""

import sqlalchemy as sa
from alembic import op

from byok.accounts.tables import Instant

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "price_overrides",
        sa.Column("seq", sa.Integer, nullable=False, autoincrement=True),
        sa.Column("vendor", sa.String, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("since", sa.String, nullable=False),
        sa.Column("entry", sa.String),
        sa.Column("set_at", Instant, nullable=False),
        sa.Column("withdrawn_at", Instant),
        sa.PrimaryKeyConstraint("seq", name="pk_price_overrides"),
    )


def downgrade() -> None:
    op.drop_table("price_overrides")
