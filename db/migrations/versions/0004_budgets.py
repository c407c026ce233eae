"""Budgets, the alerts that they gave, and the deliveries of these to webhooks."""

import sqlalchemy as sa
from alembic import op

from db.columns import Flag, Instant, blob, plain_text, whole

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the three tables."""
    op.create_table(
        "budgets",
        sa.Column("id", whole(), autoincrement=True, nullable=False),
        sa.Column("name", plain_text(), nullable=False),
        sa.Column("name_folded", plain_text(), nullable=False),
        sa.Column("scope_kind", plain_text(), nullable=False),
        sa.Column("scope_id", whole(), nullable=False),
        sa.Column("scope_agent", plain_text(), nullable=False),
        sa.Column("amount_nanos", whole(), nullable=False),
        sa.Column("period", plain_text(), nullable=False),
        sa.Column("timezone", plain_text(), nullable=False),
        sa.Column("action", plain_text(), nullable=False),
        sa.Column("thresholds", plain_text(), nullable=False),
        sa.Column("enabled", Flag(), nullable=False),
        sa.Column("webhook_url", plain_text(), nullable=True),
        sa.Column("webhook_secret_encrypted", blob(), nullable=True),
        sa.Column("webhook_previous_secret_encrypted", blob(), nullable=True),
        sa.Column("webhook_previous_secret_until", Instant(), nullable=True),
        sa.Column("webhook_disabled_at", Instant(), nullable=True),
        sa.Column("version", whole(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.Column("deleted_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budgets")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_table(
        "budget_alerts",
        sa.Column("id", whole(), autoincrement=True, nullable=False),
        sa.Column("budget_id", whole(), nullable=False),
        sa.Column("period_start", Instant(), nullable=False),
        sa.Column("period_end", Instant(), nullable=False),
        sa.Column("amount_nanos", whole(), nullable=False),
        sa.Column("threshold", whole(), nullable=False),
        sa.Column("spent_nanos", whole(), nullable=False),
        sa.Column("unpriced_requests", whole(), nullable=False),
        sa.Column("reached_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["budget_id"], ["budgets.id"], name=op.f("fk_budget_alerts_budget_id_budgets")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budget_alerts")),
        sa.UniqueConstraint(
            "budget_id",
            "period_start",
            "period_end",
            "amount_nanos",
            "threshold",
            name=op.f("uq_budget_alerts_once"),
        ),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_table(
        "budget_webhook_deliveries",
        sa.Column("id", whole(), autoincrement=True, nullable=False),
        sa.Column("alert_id", whole(), nullable=False),
        sa.Column("budget_id", whole(), nullable=False),
        sa.Column("message_id", plain_text(), nullable=False),
        sa.Column("body", plain_text(), nullable=False),
        sa.Column("status", plain_text(), nullable=False),
        sa.Column("attempts", whole(), nullable=False),
        sa.Column("next_attempt_at", Instant(), nullable=False),
        sa.Column("last_attempt_at", Instant(), nullable=True),
        sa.Column("http_status", whole(), nullable=True),
        sa.Column("error", plain_text(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["alert_id"],
            ["budget_alerts.id"],
            name=op.f("fk_budget_webhook_deliveries_alert_id_budget_alerts"),
        ),
        sa.ForeignKeyConstraint(
            ["budget_id"],
            ["budgets.id"],
            name=op.f("fk_budget_webhook_deliveries_budget_id_budgets"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budget_webhook_deliveries")),
        sa.UniqueConstraint("alert_id", name=op.f("uq_budget_webhook_deliveries_alert_id")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(
        "ix_budget_webhook_deliveries_status_next_attempt_at",
        "budget_webhook_deliveries",
        ["status", "next_attempt_at"],
    )
    op.create_index(
        "ix_budget_webhook_deliveries_budget_id_id",
        "budget_webhook_deliveries",
        ["budget_id", "id"],
    )
