"""Who people are at a sign-in service (OpenID Connect), and sign-ins that are on their way there."""

import sqlalchemy as sa
from alembic import op

from byok.accounts.tables import Instant

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "identities",
        sa.Column("issuer", sa.String, nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("user_id", sa.String, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_identities_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("issuer", "subject", name="pk_identities"),
    )
    op.create_table(
        "sign_on_flows",
        sa.Column("secret_hash", sa.String, nullable=False),
        sa.Column("user_id", sa.String),
        sa.Column("link_hash", sa.String),
        sa.Column("expires_at", Instant, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sign_on_flows_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("secret_hash", name="pk_sign_on_flows"),
    )
    for table in ("identities", "sign_on_flows"):
        op.create_index(f"ix_{table}_user_id", table, ["user_id"])


def downgrade() -> None:
    op.drop_table("sign_on_flows")
    op.drop_table("identities")
