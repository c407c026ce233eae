"""Access tokens, and the browser sessions that are begun with one."""

import sqlalchemy as sa
from alembic import op

from db.columns import Instant, blob, plain_text, whole

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and the column."""
    op.create_table(
        "access_tokens",
        sa.Column("id", whole(), autoincrement=True, nullable=False),
        sa.Column("name", plain_text(), nullable=False),
        sa.Column("name_folded", plain_text(), nullable=False),
        sa.Column("token_hash", blob(), nullable=False),
        sa.Column("masked", plain_text(), nullable=False),
        sa.Column("previous_hash", blob(), nullable=True),
        sa.Column("previous_until", Instant(), nullable=True),
        sa.Column("scopes", plain_text(), nullable=False),
        sa.Column("chain_ids", plain_text(), nullable=True),
        sa.Column("agents", plain_text(), nullable=True),
        sa.Column("expires_at", Instant(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("rotated_at", Instant(), nullable=True),
        sa.Column("last_used_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_tokens")),
        sa.UniqueConstraint("name_folded", name=op.f("uq_access_tokens_name_folded")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_access_tokens_token_hash")),
        sa.UniqueConstraint("previous_hash", name=op.f("uq_access_tokens_previous_hash")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.add_column("browser_sessions", sa.Column("access_token_hash", blob(), nullable=True))
