"""The first schema: providers, models, chains, usage, sign-in."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from db.columns import Flag, Instant, blob, plain_text, real, whole

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "browser_sessions",
        sa.Column("id", whole(), autoincrement=True, nullable=False),
        sa.Column("token_hash", blob(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_browser_sessions")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_browser_sessions_token_hash")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_table(
        "failover_chains",
        sa.Column("id", whole(), autoincrement=True, nullable=False),
        sa.Column("slug", plain_text(), nullable=False),
        sa.Column("name", plain_text(), nullable=False),
        sa.Column("name_folded", plain_text(), nullable=False),
        sa.Column("description", plain_text(), nullable=True),
        sa.Column("enabled", Flag(), nullable=False),
        sa.Column("version", whole(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.Column("deleted_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_failover_chains")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(
        "uq_failover_chains_slug_living",
        "failover_chains",
        ["slug"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "installation",
        sa.Column("key", plain_text(), nullable=False),
        sa.Column("value", plain_text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_installation")),
        sqlite_strict=True,
    )
    op.create_table(
        "providers",
        sa.Column("id", whole(), autoincrement=True, nullable=False),
        sa.Column("slug", plain_text(), nullable=False),
        sa.Column("name", plain_text(), nullable=False),
        sa.Column("name_folded", plain_text(), nullable=False),
        sa.Column("kind", plain_text(), nullable=False),
        sa.Column("base_url", plain_text(), nullable=False),
        sa.Column("enabled", Flag(), nullable=False),
        sa.Column("known_provider", plain_text(), nullable=True),
        sa.Column("api_key_encrypted", blob(), nullable=True),
        sa.Column("api_key_masked", plain_text(), nullable=True),
        sa.Column("api_key_set_at", Instant(), nullable=True),
        sa.Column("connection_revision", whole(), nullable=False),
        sa.Column("version", whole(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.Column("deleted_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_providers")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(
        "uq_providers_slug_living",
        "providers",
        ["slug"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "sign_in_codes",
        sa.Column("code_hash", blob(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_sign_in_codes")),
        sqlite_strict=True,
    )
    op.create_table(
        "usage_clock",
        sa.Column("id", whole(), autoincrement=False, nullable=False),
        sa.Column("as_of", Instant(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_usage_clock_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_clock")),
        sqlite_strict=True,
    )
    op.create_table(
        "usage_rollups",
        sa.Column("bucket_start", Instant(), nullable=False),
        sa.Column("provider_id", whole(), autoincrement=False, nullable=False),
        sa.Column("model_id", whole(), autoincrement=False, nullable=False),
        sa.Column("agent", plain_text(), nullable=False),
        sa.Column("chain_id", whole(), autoincrement=False, nullable=False),
        sa.Column("requests", whole(), nullable=False),
        sa.Column("failures", whole(), nullable=False),
        sa.Column("input_tokens", whole(), nullable=False),
        sa.Column("cache_read_tokens", whole(), nullable=False),
        sa.Column("cache_write_tokens", whole(), nullable=False),
        sa.Column("output_tokens", whole(), nullable=False),
        sa.Column("reasoning_tokens", whole(), nullable=False),
        sa.Column("cost_nanos", whole(), nullable=False),
        sa.Column("unpriced_requests", whole(), nullable=False),
        sa.Column("estimated_requests", whole(), nullable=False),
        sa.Column("latency_ms_sum", whole(), nullable=False),
        sa.Column("latency_count", whole(), nullable=False),
        sa.PrimaryKeyConstraint(
            "bucket_start",
            "provider_id",
            "model_id",
            "agent",
            "chain_id",
            name=op.f("pk_usage_rollups"),
        ),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "connection_tests",
        sa.Column("id", whole(), autoincrement=True, nullable=False),
        sa.Column("provider_id", whole(), nullable=False),
        sa.Column("status", plain_text(), nullable=False),
        sa.Column("latency_ms", whole(), nullable=True),
        sa.Column("http_status", whole(), nullable=True),
        sa.Column("message", plain_text(), nullable=False),
        sa.Column("model_count", whole(), nullable=True),
        sa.Column("tested_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["provider_id"],
            ["providers.id"],
            name=op.f("fk_connection_tests_provider_id_providers"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connection_tests")),
        sa.UniqueConstraint("provider_id", name=op.f("uq_connection_tests_provider_id")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_table(
        "models",
        sa.Column("id", whole(), autoincrement=True, nullable=False),
        sa.Column("provider_id", whole(), nullable=False),
        sa.Column("wire_name", plain_text(), nullable=False),
        sa.Column("name", plain_text(), nullable=False),
        sa.Column("name_folded", plain_text(), nullable=False),
        sa.Column("search_text", plain_text(), nullable=False),
        sa.Column("description", plain_text(), nullable=True),
        sa.Column("context_window", whole(), nullable=True),
        sa.Column("max_output_tokens", whole(), nullable=True),
        sa.Column("capability_bits", whole(), nullable=True),
        sa.Column("input_per_million", whole(), nullable=True),
        sa.Column("output_per_million", whole(), nullable=True),
        sa.Column("cache_read_per_million", whole(), nullable=True),
        sa.Column("cache_write_per_million", whole(), nullable=True),
        sa.Column("price_tiered", Flag(), nullable=False),
        sa.Column("price_source", plain_text(), nullable=True),
        sa.Column("price_as_of", Instant(), nullable=True),
        sa.Column("enabled", Flag(), nullable=False),
        sa.Column("deprecated", Flag(), nullable=False),
        sa.Column("source", plain_text(), nullable=False),
        sa.Column("version", whole(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.Column("deleted_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_models_provider_id_providers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_models")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(
        "ix_models_name_folded_wire_name_id",
        "models",
        ["name_folded", "wire_name", "id"],
        unique=False,
    )
    op.create_index(
        "ix_models_provider_id_name_folded",
        "models",
        ["provider_id", "name_folded", "wire_name", "id"],
        unique=False,
    )
    op.create_index(
        "uq_models_provider_id_wire_name_living",
        "models",
        ["provider_id", "wire_name"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "failover_steps",
        sa.Column("id", whole(), autoincrement=True, nullable=False),
        sa.Column("chain_id", whole(), nullable=False),
        sa.Column("position", whole(), nullable=False),
        sa.Column("model_id", whole(), nullable=False),
        sa.Column("max_retries", whole(), nullable=False),
        sa.Column("timeout_seconds", real(), nullable=False),
        sa.Column("first_token_timeout_seconds", real(), nullable=False),
        sa.ForeignKeyConstraint(
            ["chain_id"],
            ["failover_chains.id"],
            name=op.f("fk_failover_steps_chain_id_failover_chains"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name=op.f("fk_failover_steps_model_id_models")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_failover_steps")),
        sa.UniqueConstraint(
            "chain_id", "model_id", name=op.f("uq_failover_steps_chain_id_model_id")
        ),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index("ix_failover_steps_model_id", "failover_steps", ["model_id"], unique=False)
    op.create_table(
        "price_overrides",
        sa.Column("id", whole(), autoincrement=True, nullable=False),
        sa.Column("model_id", whole(), nullable=False),
        sa.Column("effective_from", Instant(), nullable=False),
        sa.Column("input_per_million", whole(), nullable=True),
        sa.Column("output_per_million", whole(), nullable=True),
        sa.Column("cache_read_per_million", whole(), nullable=True),
        sa.Column("cache_write_per_million", whole(), nullable=True),
        sa.CheckConstraint(
            "(input_per_million IS NULL) = (output_per_million IS NULL)",
            name=op.f("ck_price_overrides_both_or_neither"),
        ),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name=op.f("fk_price_overrides_model_id_models")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price_overrides")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(
        "ix_price_overrides_model_id_effective_from",
        "price_overrides",
        ["model_id", "effective_from", "id"],
        unique=False,
    )
    op.create_table(
        "usage_events",
        sa.Column("id", whole(), autoincrement=True, nullable=False),
        sa.Column("idempotency_key", plain_text(), nullable=False),
        sa.Column("fingerprint", blob(), nullable=False),
        sa.Column("occurred_at", Instant(), nullable=False),
        sa.Column("recorded_at", Instant(), nullable=False),
        sa.Column("provider_id", whole(), nullable=False),
        sa.Column("model_id", whole(), nullable=False),
        sa.Column("agent", plain_text(), nullable=False),
        sa.Column("chain_id", whole(), nullable=False),
        sa.Column("succeeded", Flag(), nullable=False),
        sa.Column("input_tokens", whole(), nullable=False),
        sa.Column("cache_read_tokens", whole(), nullable=False),
        sa.Column("cache_write_tokens", whole(), nullable=False),
        sa.Column("output_tokens", whole(), nullable=False),
        sa.Column("reasoning_tokens", whole(), nullable=False),
        sa.Column("estimated", Flag(), nullable=False),
        sa.Column("cost_nanos", whole(), nullable=True),
        sa.Column("latency_ms", whole(), nullable=True),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name=op.f("fk_usage_events_model_id_models")
        ),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_usage_events_provider_id_providers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_events")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_usage_events_idempotency_key")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(
        "ix_usage_events_occurred_at_id", "usage_events", ["occurred_at", "id"], unique=False
    )
    # The order of commits begins here, so that a series of nothing has its place in it too.
    clock = sa.table("usage_clock", sa.column("id"), sa.column("as_of", Instant()))
    op.execute(clock.insert().values(id=1, as_of=datetime.now(UTC)))
