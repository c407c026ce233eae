"""What goes to a budget's webhook, and how it is signed: by Standard Webhooks, version v1.

https://www.standardwebhooks.com: the signature is the base64 of the HMAC-SHA256 over
`id.timestamp.body` with the secret's bytes, which the secret's text holds in base64 after `whsec_`.
"""

import base64
import hashlib
import hmac
import secrets as randomness
from collections.abc import Mapping, Sequence
from datetime import datetime
from ipaddress import ip_address
from urllib.parse import urlsplit

import orjson

from db.budget_alerts import AlertKey
from db.budgets import BudgetRow, BudgetScopeRow
from db.vocabulary import BudgetScopeKind
from trunkline.global_ids import global_id
from trunkline.instants import format_instant
from trunkline.money import format_nanos
from trunkline.providers.addresses import Reach, reach_of
from trunkline.providers.kinds import LONGEST_URL, InvalidUrl, check_base_url

EVENT_TYPE = "budget.threshold_reached"
_SECRET_PREFIX = "whsec_"  # noqa: S105  # what every secret begins with
_SECRET_BYTES = 32
_TYPES = {
    BudgetScopeKind.PROVIDER: "Provider",
    BudgetScopeKind.MODEL: "Model",
    BudgetScopeKind.FAILOVER_CHAIN: "FailoverChain",
}


def check_webhook_url(url: str, *, may_be_private: bool) -> str:
    """The URL in one spelling. Raises `InvalidUrl`.

    https only; http too where webhooks may go to private networks. What a name resolves to is
    checked when something is sent; an address that is written out is checked here too.
    """
    stripped = url.strip()
    where, mark, query = stripped.partition("?")
    if len(stripped) > LONGEST_URL or not query.isascii() or not query.isprintable():
        raise InvalidUrl(
            f"webhookUrl may have at most {LONGEST_URL} characters, and a query of plain ASCII"
        )
    if set(query) & set(' "<>\\^`{|}#'):
        raise InvalidUrl("webhookUrl holds a fragment, or a sign in its query to be %-encoded")
    try:
        base = check_base_url(where)
    except InvalidUrl as error:
        said = str(error).replace("baseUrl", "webhookUrl").partition(": give the key")[0]
        raise InvalidUrl(said) from None
    if not base.startswith("https:") and not may_be_private:
        raise InvalidUrl(
            "webhookUrl must begin with https://; plain http is for private networks, where "
            "TRUNKLINE_PRIVATE_NETWORKS=allow-webhooks lets webhooks go"
        )
    _check_address(urlsplit(base).hostname or "", may_be_private=may_be_private)
    slashes = where[len(where.rstrip("/")) :] or ("" if urlsplit(base).path else "/")
    return f"{base}{slashes}{mark}{query}"


def generate_secret() -> str:
    """A new random secret."""
    return _SECRET_PREFIX + base64.b64encode(randomness.token_bytes(_SECRET_BYTES)).decode()


def generate_message_id() -> str:
    """The name of a new message: the same in every attempt to deliver it."""
    return f"msg_{randomness.token_hex(16)}"


def message_body(
    budget: BudgetRow,
    alert_id: int,
    key: AlertKey,
    *,
    spent_nanos: int,
    unpriced_requests: int,
    now: datetime,
) -> str:
    """The JSON of an alert. Amounts are decimals in texts, instants in UTC, ids the API's."""
    return orjson.dumps(
        {
            "type": EVENT_TYPE,
            "timestamp": format_instant(now),
            "data": {
                "alertId": global_id("BudgetAlert", alert_id),
                "budget": {
                    "id": global_id("Budget", budget.id),
                    "name": budget.name,
                    "scope": _scope(budget.scope),
                    "action": budget.action.value,
                },
                "period": {
                    "kind": budget.period.value,
                    "timezone": budget.timezone,
                    "from": format_instant(key.period_start),
                    "to": format_instant(key.period_end),
                },
                "threshold": key.threshold,
                "amountUsd": format_nanos(key.amount_nanos),
                "spentUsd": format_nanos(spent_nanos),
                "unpricedRequests": unpriced_requests,
            },
        }
    ).decode()


def signed_headers(
    message_id: str, body: bytes, secrets: Sequence[str], now: datetime
) -> Mapping[str, str]:
    """The headers of an attempt that is made now, with a signature by each of the secrets."""
    timestamp = str(int(now.timestamp()))
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    signatures = (
        hmac.new(base64.b64decode(secret.removeprefix(_SECRET_PREFIX)), signed, hashlib.sha256)
        for secret in secrets
    )
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(
            f"v1,{base64.b64encode(one.digest()).decode()}" for one in signatures
        ),
    }


def _check_address(host: str, *, may_be_private: bool) -> None:
    try:
        ip_address(host)
    except ValueError:
        return
    reach = reach_of(host)
    if reach is Reach.FORBIDDEN:
        raise InvalidUrl("webhookUrl names an address where requests never go")
    if reach is Reach.PRIVATE and not may_be_private:
        raise InvalidUrl(
            "webhookUrl names a private or loopback address, where webhooks go only with "
            "TRUNKLINE_PRIVATE_NETWORKS=allow-webhooks"
        )


def _scope(scope: BudgetScopeRow) -> Mapping[str, object]:
    kind = _TYPES.get(scope.kind)
    return {
        "kind": scope.kind.value,
        "id": global_id(kind, scope.id) if kind is not None and scope.id is not None else None,
        "agent": scope.agent,
        "label": scope.label,
    }
