"""Limits of users, models of access tokens, names of models that an admin allows to be stored."""

import sqlalchemy as sa
from alembic import op

from byok.accounts.tables import Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("requests_per_minute", sa.Integer))
    op.add_column("users", sa.Column("calls_at_once", sa.Integer))
    op.add_column("access_tokens", sa.Column("models", sa.String))
    op.create_table(
        "allowed_models",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("allowed_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_allowed_models"),
    )


def downgrade() -> None:
    raise NotImplementedError("a token that is for some models only must not become one for all: restore a backup instead")
