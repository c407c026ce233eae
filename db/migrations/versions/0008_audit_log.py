"""The audit log: who changed what of the configuration."""

import sqlalchemy as sa
from alembic import op

from db.columns import Flag, Instant, plain_text, whole

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "audit_entries",
        sa.Column("id", whole(), autoincrement=True, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("actor_kind", plain_text(), nullable=False),
        sa.Column("actor_name", plain_text(), nullable=False),
        sa.Column("actor_token_id", whole(), nullable=True),
        sa.Column("in_session", Flag(), nullable=False),
        sa.Column("request_id", plain_text(), nullable=True),
        sa.Column("action", plain_text(), nullable=False),
        sa.Column("object_kind", plain_text(), nullable=False),
        sa.Column("object_id", whole(), nullable=True),
        sa.Column("object_label", plain_text(), nullable=False),
        sa.Column("before", plain_text(), nullable=True),
        sa.Column("after", plain_text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(
        "ix_audit_entries_object_kind_object_id_id",
        "audit_entries",
        ["object_kind", "object_id", "id"],
    )
    op.create_index("ix_audit_entries_at_id", "audit_entries", ["at", "id"])
