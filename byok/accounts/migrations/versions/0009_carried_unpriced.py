"""How many of a budget's calls without a known price are of records that may be gone."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("budget_figures", sa.Column("carried_unpriced", sa.BigInteger, nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("budget_figures", "carried_unpriced")
