"""What the audit log shows of each kind of object: what an operator sets, by the API's names.

Never a key, a token, the value of a header or a webhook's secret: of a key and a token their mask,
of a header its name. A webhook's URL loses its path, which may be a token. What the world does to
an object (its status, its last test, what it spent) is left out, and so are its version and dates.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from db.access_tokens import AccessTokenRow
from db.audit_log import Fields, model_labels
from db.budgets import BudgetRow, BudgetScopeRow, BudgetWebhookRow
from db.chains import ChainRow
from db.engine import Connection
from db.models import ModelPricingRow, ModelRow
from db.provider_rows import ProviderRow
from db.vocabulary import AuditObjectKind, BudgetScopeKind
from trunkline.audit.changes import Shown
from trunkline.global_ids import global_id
from trunkline.instants import format_instant
from trunkline.money import format_nanos
from trunkline.secrets import masked

TYPE_NAMES = {
    AuditObjectKind.PROVIDER: "Provider",
    AuditObjectKind.MODEL: "Model",
    AuditObjectKind.FAILOVER_CHAIN: "FailoverChain",
    AuditObjectKind.BUDGET: "Budget",
    AuditObjectKind.ACCESS_TOKEN: "AccessToken",
}
"""The API's types of the kinds; a kind that isn't here has no objects of its own."""
_SCOPES = {
    BudgetScopeKind.PROVIDER: "Provider",
    BudgetScopeKind.MODEL: "Model",
    BudgetScopeKind.FAILOVER_CHAIN: "FailoverChain",
}


def shown_provider(provider: ProviderRow) -> Shown:
    """A provider, with its key's mask and the names of its extra headers."""
    key = provider.api_key
    fields = {
        "slug": provider.slug,
        "name": provider.name,
        "kind": provider.kind.value,
        "baseUrl": provider.base_url,
        "enabled": provider.enabled,
        "apiKey": None if key is None else {"masked": key.masked, "setAt": _instant(key.set_at)},
        "extraHeaderNames": list(provider.extra_header_names),
    }
    return Shown(AuditObjectKind.PROVIDER, provider.id, provider.slug, fields)


def shown_model(model: ModelRow, provider: ProviderRow) -> Shown:
    """A model with its price, under `<provider slug>/<wire name>`."""
    capabilities = model.capabilities
    fields = {
        "provider": global_id("Provider", provider.id),
        "wireName": model.wire_name,
        "name": model.name,
        "description": model.description,
        "contextWindow": model.context_window,
        "maxOutputTokens": model.max_output_tokens,
        "capabilities": None if capabilities is None else [one.value for one in capabilities],
        "pricing": None if model.pricing is None else _pricing(model.pricing),
        "enabled": model.enabled,
    }
    label = f"{provider.slug}/{model.wire_name}"
    return Shown(AuditObjectKind.MODEL, model.id, label, fields)


async def shown_chain(connection: Connection, chain: ChainRow) -> Shown:
    """A chain with its steps, whose models are named."""
    labels = await model_labels(connection, [step.model_id for step in chain.steps])
    fields = {
        "slug": chain.slug,
        "name": chain.name,
        "description": chain.description,
        "enabled": chain.enabled,
        "delivery": chain.delivery.value,
        "steps": [
            {
                "id": global_id("FailoverStep", step.id),
                "model": labels.get(step.model_id),
                "maxRetries": step.max_retries,
                "timeoutSeconds": step.timeout_seconds,
                "firstTokenTimeoutSeconds": step.first_token_timeout_seconds,
            }
            for step in chain.steps
        ],
    }
    return Shown(AuditObjectKind.FAILOVER_CHAIN, chain.id, chain.slug, fields)


def shown_budget(budget: BudgetRow) -> Shown:
    """A budget, with where its webhook's receiver is."""
    fields = {
        "name": budget.name,
        "scope": _scope(budget.scope),
        "amountUsd": format_nanos(budget.amount_usd),
        "period": budget.period.value,
        "timezone": budget.timezone,
        "action": budget.action.value,
        "thresholds": list(budget.thresholds),
        "enabled": budget.enabled,
        "webhook": None if budget.webhook is None else _webhook(budget.webhook),
    }
    return Shown(AuditObjectKind.BUDGET, budget.id, budget.name, fields)


def shown_token(token: AccessTokenRow) -> Shown:
    """An access token as its mask, with what it may do."""
    chains = token.chain_ids
    fields = {
        "name": token.name,
        "masked": token.masked,
        "scopes": [scope.value for scope in token.scopes],
        "failoverChains": None
        if chains is None
        else [global_id("FailoverChain", one) for one in chains],
        "agents": None if token.agents is None else list(token.agents),
        "expiresAt": _instant(token.expires_at),
        "rotatedAt": _instant(token.rotated_at),
        "previousUntil": _instant(token.previous_until),
    }
    return Shown(AuditObjectKind.ACCESS_TOKEN, token.id, token.name, fields)


def shown_catalog(edition: str | None) -> Shown:
    """The price data as a whole: which edition of it the models' prices are of."""
    return Shown(AuditObjectKind.CATALOG, None, "price data", {"edition": edition})


def shown_secret_keys(key_ids: Sequence[str]) -> Shown:
    """What tells apart the keys that seal, newest first."""
    return Shown(AuditObjectKind.SECRET_KEYS, None, "secret keys", {"keyIds": list(key_ids)})


def _pricing(pricing: ModelPricingRow) -> Fields:
    return {
        "inputPerMillion": _dollars(pricing.input_per_million),
        "outputPerMillion": _dollars(pricing.output_per_million),
        "cacheReadPerMillion": _dollars(pricing.cache_read_per_million),
        "cacheWritePerMillion": _dollars(pricing.cache_write_per_million),
        "source": pricing.source.value,
    }


def _scope(scope: BudgetScopeRow) -> Mapping[str, object]:
    kind = _SCOPES.get(scope.kind)
    return {
        "kind": scope.kind.value,
        "id": global_id(kind, scope.id) if kind is not None and scope.id is not None else None,
        "agent": scope.agent,
        "label": scope.label,
    }


def _webhook(webhook: BudgetWebhookRow) -> Fields:
    parts = urlsplit(webhook.url)
    rest = webhook.url.partition(parts.netloc)[2]
    return {
        "url": f"{parts.scheme}://{parts.netloc}/{masked(rest) if rest.strip('/') else ''}",
        "disabledAt": _instant(webhook.disabled_at),
        "previousSecretUntil": _instant(webhook.previous_secret_until),
    }


def _dollars(nanos: int | None) -> str | None:
    return None if nanos is None else format_nanos(nanos)


def _instant(at: datetime | None) -> str | None:
    return None if at is None else format_instant(at)
