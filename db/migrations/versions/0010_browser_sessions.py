"""What tells browser sessions apart: how each was begun, by what, from where, and its last use."""

import sqlalchemy as sa
from alembic import op

from db.columns import Instant, plain_text

revision = "0010"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. Nobody knows any more how a session was begun that had no access token."""
    op.add_column(
        "browser_sessions",
        sa.Column("signed_in_with", plain_text(), server_default="SIGN_IN_LINK", nullable=False),
    )
    op.add_column("browser_sessions", sa.Column("browser", plain_text(), nullable=True))
    op.add_column("browser_sessions", sa.Column("address", plain_text(), nullable=True))
    op.add_column("browser_sessions", sa.Column("last_used_at", Instant(), nullable=True))
    op.execute(
        "UPDATE browser_sessions SET signed_in_with = 'ACCESS_TOKEN' "
        "WHERE access_token_hash IS NOT NULL"
    )
