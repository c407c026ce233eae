"""Every table, as SQLAlchemy Core. Migrations make them; repositories query them.

Objects that history names (providers, models, chains) are deleted by tombstone: `deleted_at` is
set, the row stays. Uniqueness of names therefore covers living rows only. Ids are never reused.

One list, however long: foreign keys and migrations are read beside all of it.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    MetaData,
    Table,
    UniqueConstraint,
    text,
)

from db.columns import Flag, Instant, blob, plain_text, real, whole

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _unique_among_living(name: str, *columns: str) -> Index:
    """Of rows that are not deleted. The migrations say so to each database; to say it here would
    load the dialects of both, which is some megabytes.
    """
    return Index(name, *columns, unique=True, info={"where": "deleted_at IS NULL"})


providers = Table(
    "providers",
    metadata,
    Column("id", whole(), primary_key=True, autoincrement=True),
    Column("slug", plain_text(), nullable=False),
    Column("name", plain_text(), nullable=False),
    Column("name_folded", plain_text(), nullable=False),
    Column("kind", plain_text(), nullable=False),
    Column("base_url", plain_text(), nullable=False),
    Column("enabled", Flag(), nullable=False),
    # Which provider of the price data this is; null where the data knows none.
    Column("known_provider", plain_text()),
    Column("api_key_encrypted", blob()),
    Column("api_key_masked", plain_text()),
    Column("api_key_set_at", Instant()),
    # JSON lists: the names in the clear, to be shown; the pairs sealed as a key is.
    Column("extra_header_names", plain_text()),
    Column("extra_headers_encrypted", blob()),
    # Counts changes of key or URL: a test of an older configuration isn't taken for this one's.
    Column("connection_revision", whole(), nullable=False),
    Column("version", whole(), nullable=False),
    Column("created_at", Instant(), nullable=False),
    Column("updated_at", Instant(), nullable=False),
    Column("deleted_at", Instant()),
    _unique_among_living("uq_providers_slug_living", "slug"),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

connection_tests = Table(
    "connection_tests",
    metadata,
    Column("id", whole(), primary_key=True, autoincrement=True),
    # One a provider: the last of its saved configuration.
    Column("provider_id", whole(), ForeignKey("providers.id"), nullable=False, unique=True),
    Column("status", plain_text(), nullable=False),
    Column("latency_ms", whole()),
    Column("http_status", whole()),
    Column("message", plain_text(), nullable=False),
    Column("model_count", whole()),
    Column("tested_at", Instant(), nullable=False),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

models = Table(
    "models",
    metadata,
    Column("id", whole(), primary_key=True, autoincrement=True),
    Column("provider_id", whole(), ForeignKey("providers.id"), nullable=False),
    Column("wire_name", plain_text(), nullable=False),
    Column("name", plain_text(), nullable=False),
    Column("name_folded", plain_text(), nullable=False),
    # Wire name and name, casefolded, for search by words; the provider's names are joined.
    Column("search_text", plain_text(), nullable=False),
    Column("description", plain_text()),
    Column("context_window", whole()),
    Column("max_output_tokens", whole()),
    # Bits in the order of ModelCapability; null where nobody knows.
    Column("capability_bits", whole()),
    # The price in force now, in nanodollars per million tokens at the lowest tier; null: unknown.
    Column("input_per_million", whole()),
    Column("output_per_million", whole()),
    Column("cache_read_per_million", whole()),
    Column("cache_write_per_million", whole()),
    Column("price_tiered", Flag(), nullable=False),
    Column("price_source", plain_text()),
    Column("price_as_of", Instant()),
    Column("enabled", Flag(), nullable=False),
    Column("deprecated", Flag(), nullable=False),
    Column("source", plain_text(), nullable=False),
    Column("version", whole(), nullable=False),
    Column("created_at", Instant(), nullable=False),
    Column("updated_at", Instant(), nullable=False),
    Column("deleted_at", Instant()),
    _unique_among_living("uq_models_provider_id_wire_name_living", "provider_id", "wire_name"),
    Index("ix_models_name_folded_wire_name_id", "name_folded", "wire_name", "id"),
    Index("ix_models_provider_id_name_folded", "provider_id", "name_folded", "wire_name", "id"),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

price_overrides = Table(
    "price_overrides",
    metadata,
    Column("id", whole(), primary_key=True, autoincrement=True),
    Column("model_id", whole(), ForeignKey("models.id"), nullable=False),
    Column("effective_from", Instant(), nullable=False),
    # Nanodollars per million tokens. Input and output null together: from here on no override.
    Column("input_per_million", whole()),
    Column("output_per_million", whole()),
    Column("cache_read_per_million", whole()),
    Column("cache_write_per_million", whole()),
    Index("ix_price_overrides_model_id_effective_from", "model_id", "effective_from", "id"),
    CheckConstraint(
        "(input_per_million IS NULL) = (output_per_million IS NULL)", name="both_or_neither"
    ),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

failover_chains = Table(
    "failover_chains",
    metadata,
    Column("id", whole(), primary_key=True, autoincrement=True),
    Column("slug", plain_text(), nullable=False),
    Column("name", plain_text(), nullable=False),
    Column("name_folded", plain_text(), nullable=False),
    Column("description", plain_text()),
    Column("enabled", Flag(), nullable=False),
    Column("delivery", plain_text(), nullable=False, server_default="STREAMED"),
    Column("version", whole(), nullable=False),
    Column("created_at", Instant(), nullable=False),
    Column("updated_at", Instant(), nullable=False),
    Column("deleted_at", Instant()),
    _unique_among_living("uq_failover_chains_slug_living", "slug"),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

failover_steps = Table(
    "failover_steps",
    metadata,
    Column("id", whole(), primary_key=True, autoincrement=True),
    Column(
        "chain_id", whole(), ForeignKey("failover_chains.id", ondelete="CASCADE"), nullable=False
    ),
    Column("position", whole(), nullable=False),
    Column("model_id", whole(), ForeignKey("models.id"), nullable=False),
    Column("max_retries", whole(), nullable=False),
    Column("timeout_seconds", real(), nullable=False),
    Column("first_token_timeout_seconds", real(), nullable=False),
    UniqueConstraint("chain_id", "model_id"),
    Index("ix_failover_steps_model_id", "model_id"),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

usage_events = Table(
    "usage_events",
    metadata,
    Column("id", whole(), primary_key=True, autoincrement=True),
    Column("idempotency_key", plain_text(), nullable=False, unique=True),
    # Hash of what was asked to be recorded: tells a repetition from another event of the same name.
    Column("fingerprint", blob(), nullable=False),
    Column("occurred_at", Instant(), nullable=False),
    Column("recorded_at", Instant(), nullable=False),
    Column("provider_id", whole(), ForeignKey("providers.id"), nullable=False),
    Column("model_id", whole(), ForeignKey("models.id"), nullable=False),
    # "" and 0 stand for none, as in the rollups.
    Column("agent", plain_text(), nullable=False),
    Column("chain_id", whole(), nullable=False),
    Column("succeeded", Flag(), nullable=False),
    Column("input_tokens", whole(), nullable=False),
    Column("cache_read_tokens", whole(), nullable=False),
    Column("cache_write_tokens", whole(), nullable=False),
    Column("output_tokens", whole(), nullable=False),
    Column("reasoning_tokens", whole(), nullable=False),
    Column("estimated", Flag(), nullable=False),
    # Null where the price is unknown.
    Column("cost_nanos", whole()),
    Column("latency_ms", whole()),
    Index("ix_usage_events_occurred_at_id", "occurred_at", "id"),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

usage_rollups = Table(
    "usage_rollups",
    metadata,
    # How much of an event's key this keeps, and how long its bucket is: see rollup_levels.
    Column("level", whole(), primary_key=True, autoincrement=False),
    # Nothing in the key is null: a null equals no null, and would make a second row.
    Column("bucket_start", Instant(), primary_key=True),
    Column("provider_id", whole(), primary_key=True, autoincrement=False),
    Column("model_id", whole(), primary_key=True, autoincrement=False),
    Column("agent", plain_text(), primary_key=True),
    Column("chain_id", whole(), primary_key=True, autoincrement=False),
    Column("latency_bin", whole(), primary_key=True, autoincrement=False),
    Column("requests", whole(), nullable=False),
    Column("failures", whole(), nullable=False),
    Column("input_tokens", whole(), nullable=False),
    Column("cache_read_tokens", whole(), nullable=False),
    Column("cache_write_tokens", whole(), nullable=False),
    Column("output_tokens", whole(), nullable=False),
    Column("reasoning_tokens", whole(), nullable=False),
    Column("cost_nanos", whole(), nullable=False),
    Column("unpriced_requests", whole(), nullable=False),
    Column("estimated_requests", whole(), nullable=False),
    Column("latency_ms_sum", whole(), nullable=False),
    Column("latency_count", whole(), nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

usage_clock = Table(
    "usage_clock",
    metadata,
    # One row, moved forward by every commit of usage: the order of commits, as an instant.
    Column("id", whole(), primary_key=True, autoincrement=False),
    Column("as_of", Instant(), nullable=False),
    # Events before this are deleted or about to be, and none is taken any more.
    Column("expired_before", Instant(), nullable=False, server_default=text("0")),
    CheckConstraint("id = 1", name="single"),
    sqlite_strict=True,
)

usage_agents = Table(
    "usage_agents",
    metadata,
    # Every agent that usage was recorded for: their number is bounded.
    Column("name", plain_text(), primary_key=True),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

gateway_requests = Table(
    "gateway_requests",
    metadata,
    # In the order of commits: see `insert_gateway_requests`.
    Column("id", whole(), primary_key=True, autoincrement=True),
    Column("request_id", plain_text(), nullable=False, unique=True),
    Column("endpoint", plain_text(), nullable=False),
    Column("asked_for", plain_text(), nullable=False),
    # 0 and "" stand for none, as in usage events.
    Column("chain_id", whole(), nullable=False),
    Column("model_id", whole(), nullable=False),
    Column("agent", plain_text(), nullable=False),
    Column("streamed", Flag(), nullable=False),
    Column("outcome", plain_text(), nullable=False),
    Column("status", whole(), nullable=False),
    Column("started_at", Instant(), nullable=False),
    Column("milliseconds", whole(), nullable=False),
    Column("first_token_ms", whole()),
    Column("overhead_ms", real(), nullable=False),
    # JSON, so that a request costs one insert: nobody asks for an attempt without its request.
    Column("attempts", plain_text(), nullable=False),
    Index("ix_gateway_requests_started_at_id", "started_at", "id"),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

sign_in_codes = Table(
    "sign_in_codes",
    metadata,
    Column("code_hash", blob(), primary_key=True),
    Column("expires_at", Instant(), nullable=False),
    sqlite_strict=True,
)

browser_sessions = Table(
    "browser_sessions",
    metadata,
    Column("id", whole(), primary_key=True, autoincrement=True),
    Column("token_hash", blob(), nullable=False, unique=True),
    Column("created_at", Instant(), nullable=False),
    Column("expires_at", Instant(), nullable=False),
    # Of the access token that it was begun with, whose fate it shares; null for a sign-in link.
    Column("access_token_hash", blob()),
    Column("signed_in_with", plain_text(), nullable=False, server_default="SIGN_IN_LINK"),
    # As it was at the sign-in; null where the client said nothing of the kind.
    Column("browser", plain_text()),
    Column("address", plain_text()),
    # Written at most once a minute.
    Column("last_used_at", Instant()),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

access_tokens = Table(
    "access_tokens",
    metadata,
    Column("id", whole(), primary_key=True, autoincrement=True),
    Column("name", plain_text(), nullable=False),
    Column("name_folded", plain_text(), nullable=False, unique=True),
    Column("token_hash", blob(), nullable=False, unique=True),
    Column("masked", plain_text(), nullable=False),
    # The token before the last rotation, and until when it is let in beside the present one.
    Column("previous_hash", blob(), unique=True),
    Column("previous_until", Instant()),
    # JSON lists; null limits to nothing in particular.
    Column("scopes", plain_text(), nullable=False),
    Column("chain_ids", plain_text()),
    Column("agents", plain_text()),
    Column("expires_at", Instant()),
    Column("created_at", Instant(), nullable=False),
    Column("rotated_at", Instant()),
    # Written at most once a minute.
    Column("last_used_at", Instant()),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

installation = Table(
    "installation",
    metadata,
    # Facts about this database as a whole, such as that it was seeded.
    Column("key", plain_text(), primary_key=True),
    Column("value", plain_text(), nullable=False),
    sqlite_strict=True,
)

budgets = Table(
    "budgets",
    metadata,
    Column("id", whole(), primary_key=True, autoincrement=True),
    Column("name", plain_text(), nullable=False),
    Column("name_folded", plain_text(), nullable=False),
    Column("scope_kind", plain_text(), nullable=False),
    # 0 and "" where the kind of scope has none.
    Column("scope_id", whole(), nullable=False),
    Column("scope_agent", plain_text(), nullable=False),
    Column("amount_nanos", whole(), nullable=False),
    Column("period", plain_text(), nullable=False),
    Column("timezone", plain_text(), nullable=False),
    Column("action", plain_text(), nullable=False),
    # Whole percents in ascending order, separated by commas.
    Column("thresholds", plain_text(), nullable=False),
    Column("enabled", Flag(), nullable=False),
    Column("webhook_url", plain_text()),
    Column("webhook_secret_encrypted", blob()),
    # After a rotation both secrets sign until then.
    Column("webhook_previous_secret_encrypted", blob()),
    Column("webhook_previous_secret_until", Instant()),
    # When the receiver answered that it is gone for good.
    Column("webhook_disabled_at", Instant()),
    Column("version", whole(), nullable=False),
    Column("created_at", Instant(), nullable=False),
    Column("updated_at", Instant(), nullable=False),
    Column("deleted_at", Instant()),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

budget_alerts = Table(
    "budget_alerts",
    metadata,
    Column("id", whole(), primary_key=True, autoincrement=True),
    Column("budget_id", whole(), ForeignKey("budgets.id"), nullable=False),
    Column("period_start", Instant(), nullable=False),
    Column("period_end", Instant(), nullable=False),
    Column("amount_nanos", whole(), nullable=False),
    Column("threshold", whole(), nullable=False),
    Column("spent_nanos", whole(), nullable=False),
    Column("unpriced_requests", whole(), nullable=False),
    Column("reached_at", Instant(), nullable=False),
    # Whoever inserts it tells of it, so it is told once, whoever else saw the same.
    UniqueConstraint(
        "budget_id",
        "period_start",
        "period_end",
        "amount_nanos",
        "threshold",
        name="uq_budget_alerts_once",
    ),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

budget_webhook_deliveries = Table(
    "budget_webhook_deliveries",
    metadata,
    Column("id", whole(), primary_key=True, autoincrement=True),
    Column("alert_id", whole(), ForeignKey("budget_alerts.id"), nullable=False, unique=True),
    Column("budget_id", whole(), ForeignKey("budgets.id"), nullable=False),
    # The receiver's means to tell a repetition: the same in every attempt.
    Column("message_id", plain_text(), nullable=False),
    Column("body", plain_text(), nullable=False),
    Column("status", plain_text(), nullable=False),
    # Counted when an attempt begins, so that one that kills its process counts too.
    Column("attempts", whole(), nullable=False),
    # While an attempt runs, when it is given up for dead.
    Column("next_attempt_at", Instant(), nullable=False),
    Column("last_attempt_at", Instant()),
    Column("http_status", whole()),
    Column("error", plain_text()),
    Column("created_at", Instant(), nullable=False),
    Index("ix_budget_webhook_deliveries_status_next_attempt_at", "status", "next_attempt_at"),
    Index("ix_budget_webhook_deliveries_budget_id_id", "budget_id", "id"),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

change_counters = Table(
    "change_counters",
    metadata,
    # One row for each writer and kind of change: see `db/change_counters.py`.
    Column("writer", plain_text(), primary_key=True),
    Column("kind", plain_text(), primary_key=True),
    Column("value", whole(), nullable=False),
    # By the writer's clock; for forgetting only.
    Column("raised_at", Instant(), nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

audit_entries = Table(
    "audit_entries",
    metadata,
    # In the order of commits: see `db/audit_log.py`.
    Column("id", whole(), primary_key=True, autoincrement=True),
    # By the clock of whoever wrote it; the order is the id's.
    Column("at", Instant(), nullable=False),
    Column("actor_kind", plain_text(), nullable=False),
    Column("actor_name", plain_text(), nullable=False),
    # No foreign keys in here: an entry outlives the token and the object that it names.
    Column("actor_token_id", whole()),
    Column("in_session", Flag(), nullable=False),
    Column("request_id", plain_text()),
    Column("action", plain_text(), nullable=False),
    Column("object_kind", plain_text(), nullable=False),
    Column("object_id", whole()),
    Column("object_label", plain_text(), nullable=False),
    # JSON objects by field; null before a creation and after a deletion.
    Column("before", plain_text()),
    Column("after", plain_text()),
    Index("ix_audit_entries_object_kind_object_id_id", "object_kind", "object_id", "id"),
    Index("ix_audit_entries_at_id", "at", "id"),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)
