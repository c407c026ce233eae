"""Change counters: how processes on one database see that another has committed."""

import sqlalchemy as sa
from alembic import op

from db.columns import Instant, plain_text, whole

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "change_counters",
        sa.Column("writer", plain_text(), nullable=False),
        sa.Column("kind", plain_text(), nullable=False),
        sa.Column("value", whole(), nullable=False),
        sa.Column("raised_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("writer", "kind", name=op.f("pk_change_counters")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
