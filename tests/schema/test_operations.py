"""Every named operation of `graphql/operations/` runs on both databases, in one story."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from graphql import OperationDefinitionNode, OperationType, parse, print_ast

from db.vocabulary import AuditActorKind
from resolvers.context import OperationContext
from schema.root import schema
from server.sign_in import Gate
from server.simulated.app import running_simulator
from server.simulated.behaviour import Behaviour
from tests.audit_entries import entries_of
from tests.conftest import Execute
from trunkline.audit.actions import ACTIONS
from trunkline.providers.seeding import seed_providers
from trunkline.services import Services

FOLDER = Path(__file__).parents[2] / "graphql" / "operations"
KEY = "simulated-key-0123456789"
NOT_CONFIGURATION = {
    "recordUsage": "usage is what happened, not how anything is set up, and is counted itself",
    "testConnection": "a test tells how a provider does; what it is configured with stays",
    "runFailoverChain": "a request, which is listed among gatewayRequests",
    "revokeBrowserSession": "a browser signs in again; who may do what stays",
    "revokeOtherBrowserSessions": "the same of many",
}
"""The mutations that leave nothing in the audit log, and why."""


def operations() -> dict[str, tuple[str, OperationType]]:
    """Text and kind of each operation by name; each file stands alone, fragments included."""
    found: dict[str, tuple[str, OperationType]] = {}
    for file in sorted(FOLDER.glob("*.graphql")):
        document = parse(file.read_text())
        fragments = [
            one for one in document.definitions if not isinstance(one, OperationDefinitionNode)
        ]
        by_name = {one.name.value: one for one in fragments}  # type: ignore[attr-defined]  # fragments have names
        for one in document.definitions:
            if isinstance(one, OperationDefinitionNode):
                assert one.name is not None, f"{file.name} has an operation without a name"
                assert one.name.value not in found, f"{one.name.value} stands twice"
                text = print_ast(one)
                used: dict[str, str] = {}
                _gather(text, by_name, used)
                found[one.name.value] = ("\n".join([text, *used.values()]), one.operation)
    return found


def _gather(text: str, fragments: dict[str, Any], used: dict[str, str]) -> None:
    for name, fragment in fragments.items():
        if name not in used and f"...{name}" in text:
            used[name] = print_ast(fragment)
            _gather(used[name], fragments, used)


OPERATIONS = operations()
UNCHANGING = [name for name, (_, kind) in OPERATIONS.items() if kind is OperationType.QUERY]
LIVE = [name for name, (_, kind) in OPERATIONS.items() if kind is OperationType.SUBSCRIPTION]
SERIES = {"dimension": "MODEL", "window": {"period": "LAST_7_DAYS"}, "timezone": "Europe/Berlin"}


@pytest.fixture
async def simulator() -> AsyncIterator[str]:
    async with running_simulator(Behaviour(api_key=KEY)) as url:
        yield url


async def run(execute: Execute, name: str, **variables: Any) -> dict[str, Any]:
    return await execute(OPERATIONS[name][0], **variables)


def test_every_mutation_is_audited_or_says_why_not() -> None:
    """That those which are audited leave an entry, the dashboard's day below proves one by one."""
    mutation = schema._schema.mutation_type
    assert mutation is not None
    assert set(ACTIONS) & NOT_CONFIGURATION.keys() == set()
    assert set(mutation.fields) - set(ACTIONS) == NOT_CONFIGURATION.keys(), (
        "a mutation that changes configuration goes through `Services.change`, and its name into "
        "`trunkline/audit/actions.py`; one that doesn't is listed here with the reason"
    )
    run_below = {
        f"{name[0].lower()}{name[1:]}"
        for name, (_, kind) in OPERATIONS.items()
        if kind is OperationType.MUTATION
    }
    assert run_below == set(mutation.fields)


async def test_a_dashboards_day(services: Services, execute: Execute, simulator: str) -> None:
    """All of them in one story: each runs on what those before it made."""
    await seed_providers(services.database, services.catalog, services.clock)
    done: set[str] = set()

    async def do(name: str, **variables: Any) -> Any:
        done.add(name)
        before = len(await entries_of(services))
        data = await run(execute, name, **variables)
        new = (await entries_of(services))[before:]
        mutation = name[0].lower() + name[1:]
        if OPERATIONS[name][1] is OperationType.MUTATION and mutation not in NOT_CONFIGURATION:
            (entry,) = new
            assert entry.action == mutation
            assert (entry.actor.kind, entry.actor.name) == (AuditActorKind.ADMIN, "tests")
            assert entry.request_id == "request-1"
            assert entry.before != entry.after
        else:
            assert not new, f"{name} leaves entries, though it changes no configuration"
        payload: Any = data.get(name[0].lower() + name[1:])
        if OPERATIONS[name][1] is OperationType.MUTATION:
            assert payload["userErrors"] == [], payload
        return payload if payload is not None else data

    created = await do(
        "CreateProvider",
        input={
            "slug": "own", "name": "Own", "kind": "OPENAI_COMPATIBLE",
            "baseUrl": f"{simulator}/v1", "apiKey": KEY,
        },
    )  # fmt: skip
    provider = created["provider"]
    assert provider["apiKey"]["masked"] == "…6789"
    draft = {"kind": "OPENAI_COMPATIBLE", "baseUrl": f"{simulator}/v1", "apiKey": "sk-wrong-0123"}
    tested = await do("TestConnection", input=draft)
    assert tested["connectionTest"]["status"] == "INVALID_KEY"
    tested = await do("TestConnection", input={"providerId": provider["id"]})
    assert tested["connectionTest"]["status"] == "OK"
    synced = await do("SyncModels", input={"providerId": provider["id"]})
    assert synced["added"] == 2
    await do("UpdateProvider", input={"id": provider["id"], "name": "Our own"})
    model = (await do("CreateModel", input={"providerId": provider["id"], "wireName": "tuned"}))[
        "model"
    ]
    price = {"inputPerMillion": "1", "outputPerMillion": "2.5"}
    priced = await do("UpdateModel", input={"id": model["id"], "priceOverride": price})
    assert priced["model"]["pricing"]["outputPerMillion"] == "2.5"
    chain = (
        await do(
            "CreateFailoverChain", input={"name": "Answers", "steps": [{"modelId": model["id"]}]}
        )
    )["failoverChain"]
    listed = await execute('{ models(filter: { search: "simulated-large" }) { nodes { id } } }')
    other = listed["models"]["nodes"][0]["id"]
    steps = [{"id": chain["steps"][0]["id"], "maxRetries": 0}, {"modelId": other}]
    edited = (await do("UpdateFailoverChain", input={"id": chain["id"], "steps": steps}))[
        "failoverChain"
    ]
    order = [step["id"] for step in edited["steps"]][::-1]
    await do("ReorderFailoverChain", input={"id": chain["id"], "stepIds": order})
    done.add("RunFailoverChain")
    nothing = {"failoverChainId": chain["id"], "prompt": " "}
    ran = (await run(execute, "RunFailoverChain", input=nothing))["runFailoverChain"]
    assert [one["code"] for one in ran["userErrors"]] == ["INVALID"]
    event = {
        "idempotencyKey": "one", "providerSlug": "own", "modelName": "tuned", "agent": "support",
        "failoverChainSlug": chain["slug"], "inputTokens": 1_000_000,
    }  # fmt: skip
    assert (await do("RecordUsage", input={"events": [event]}))["recorded"] == 1
    budget = (
        await do(
            "CreateBudget",
            input={
                "name": "Support", "scope": {"agent": "support"}, "amountUsd": "2",
                "period": "CALENDAR_MONTH", "timezone": "Europe/Berlin", "action": "BLOCK",
                "webhookUrl": "https://hooks.example.com/",
            },
        )
    )["budget"]  # fmt: skip
    assert budget["state"]["usedPercent"] == 50
    await do("UpdateBudget", input={"id": budget["id"], "amountUsd": "4"})
    rotated = await do("RotateBudgetWebhookSecret", input={"id": budget["id"]})
    assert rotated["webhookSecret"].startswith("whsec_")
    token = await do(
        "CreateAccessToken",
        input={
            "name": "Support bot", "scopes": ["GATEWAY", "READ"], "agents": ["support"],
            "failoverChainIds": [chain["id"]], "expiresAt": "2027-01-31T00:00:00Z",
        },
    )  # fmt: skip
    assert token["accessToken"]["scopes"] == ["READ", "GATEWAY"]
    assert token["accessToken"]["failoverChains"] == [{"id": chain["id"], "slug": "answers"}]
    turned = await do("RotateAccessToken", input={"id": token["accessToken"]["id"]})
    assert turned["token"] != token["token"]
    assert turned["accessToken"]["masked"].endswith(turned["token"][-4:])
    for name in UNCHANGING:
        variables = {
            "slug": "answers" if "Chain" in name else "own",
            "id": model["id"],
            "timezone": "Europe/Berlin",
            "dimension": "AGENT",
            "input": SERIES,
            "search": "tuned",
        }
        text = OPERATIONS[name][0]
        data = await do(
            name, **{key: value for key, value in variables.items() if f"${key}" in text}
        )
        assert data, name
    assert (await run(execute, "UsageOverTime", input=SERIES))["usageSeries"]["totals"][
        "costUsd"
    ] == "1"
    await do("RevokeAccessToken", input={"id": token["accessToken"]["id"]})
    gate = Gate(services.database, services.clock, "token-of-the-admin")
    assert await gate.begin_session(await gate.issue_code())
    begun = (await do("BrowserSessions"))["nodes"]
    await do("RevokeBrowserSession", input={"id": begun[0]["id"]})
    assert (await do("RevokeOtherBrowserSessions", input={}))["revoked"] == 0
    await do("DeleteBudget", input={"id": budget["id"]})
    await do("DeleteFailoverChain", input={"id": chain["id"]})
    await do("DeleteModel", input={"id": model["id"]})
    await do("RemoveProviderApiKey", input={"id": provider["id"]})
    await do("DeleteProvider", input={"id": provider["id"]})
    series = (await run(execute, "UsageOverTime", input=SERIES))["usageSeries"]
    # What it names is gone; what it cost is not.
    assert [(one["label"], one["subject"]) for one in series["groups"]] == [("tuned", None)]
    assert done == set(OPERATIONS) - set(LIVE)


@pytest.mark.parametrize("name", LIVE)
async def test_a_subscription_begins_at_once(
    services: Services, context: OperationContext, name: str
) -> None:
    await seed_providers(services.database, services.catalog, services.clock)
    text = OPERATIONS[name][0]
    variables = {"input": SERIES} if "$input" in text else {}
    async with aclosing(await schema.stream(text, variables, context_value=context)) as updates:
        first: Any = await anext(updates)
    assert not first.errors, first.errors
    (payload,) = first.data.values()
    assert payload.get("__typename") == "UsageSnapshot" or payload["kind"] == "READY"
