"""The gateway's requests; how a chain delivers; headers of an operator's own on providers."""

import sqlalchemy as sa
from alembic import op

from db.columns import Flag, Instant, blob, plain_text, real, whole

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and the columns."""
    op.create_table(
        "gateway_requests",
        sa.Column("id", whole(), autoincrement=True, nullable=False),
        sa.Column("request_id", plain_text(), nullable=False),
        sa.Column("endpoint", plain_text(), nullable=False),
        sa.Column("asked_for", plain_text(), nullable=False),
        sa.Column("chain_id", whole(), nullable=False),
        sa.Column("model_id", whole(), nullable=False),
        sa.Column("agent", plain_text(), nullable=False),
        sa.Column("streamed", Flag(), nullable=False),
        sa.Column("outcome", plain_text(), nullable=False),
        sa.Column("status", whole(), nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("milliseconds", whole(), nullable=False),
        sa.Column("first_token_ms", whole(), nullable=True),
        sa.Column("overhead_ms", real(), nullable=False),
        sa.Column("attempts", plain_text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gateway_requests")),
        sa.UniqueConstraint("request_id", name=op.f("uq_gateway_requests_request_id")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index("ix_gateway_requests_started_at_id", "gateway_requests", ["started_at", "id"])
    op.add_column(
        "failover_chains",
        sa.Column("delivery", plain_text(), server_default="STREAMED", nullable=False),
    )
    op.add_column("providers", sa.Column("extra_header_names", plain_text(), nullable=True))
    op.add_column("providers", sa.Column("extra_headers_encrypted", blob(), nullable=True))
