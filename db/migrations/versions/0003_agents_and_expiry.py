"""The names of agents, so that their number can be bounded; and up to when events have expired."""

import sqlalchemy as sa
from alembic import op

from db.columns import Instant, plain_text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, with the names that are there, and the column."""
    op.create_table(
        "usage_agents",
        sa.Column("name", plain_text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_usage_agents")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO usage_agents (name) "
        "SELECT DISTINCT agent FROM usage_rollups WHERE level = 0 AND agent <> ''"
    )
    op.add_column(
        "usage_clock",
        sa.Column("expired_before", Instant(), server_default=sa.text("0"), nullable=False),
    )
