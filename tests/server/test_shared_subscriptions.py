"""Equal subscriptions over real sockets: executed once, and each with all that it is to get."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from strawberry.types.base import StrawberryObjectDefinition
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import PerMessageDeflate

from db.vocabulary import ChangeKind, ProviderKind
from schema.fields import SHARED
from schema.root import schema
from tests.conftest import SetClock
from tests.server.served import TOKEN, Served, opened, said, serving, subscribe
from tests.trunkline.usage.live import Counted, eventually, record, with_hub
from tests.trunkline.usage.timing import Time
from trunkline.events import (
    BudgetAlerted,
    BudgetChanged,
    Change,
    FailoverChainChanged,
    ModelChanged,
    ProviderChanged,
)
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.services import Services
from trunkline.usage.feed import TICK_SECONDS

USAGE = """subscription ($input: UsageSeriesInput!) { usageUpdated(input: $input) {
  ... on UsageSnapshot { series { asOf totals { requests } } }
  ... on UsageDelta { asOf totals { requests } } } }"""
LONG = USAGE.replace("totals { requests }", "groups { key label points { start requests } }", 1)
INPUT = {"dimension": "AGENT", "window": {"period": "TODAY"}, "timezone": "UTC"}
UPDATED = ChangeKind.UPDATED
CHANGES: dict[str, Change] = {
    "providerChanged": ProviderChanged(UPDATED, 99, "p"),
    "modelChanged": ModelChanged(UPDATED, 1, 1, "p"),
    "failoverChainChanged": FailoverChainChanged(UPDATED, 1, "c"),
    "budgetChanged": BudgetChanged(UPDATED, 1),
    "budgetAlert": BudgetAlerted(UPDATED, 1, 1),
}


@pytest.fixture
def template(sqlite_template: Path) -> Path:
    """How pushes are shared is no matter of the store's."""
    return sqlite_template


@pytest.fixture
def time(clock: SetClock) -> Time:
    return Time(clock)


@pytest.fixture
async def services(services: Services, time: Time) -> Services:
    await create_provider(
        services, NewProvider(slug="local", name="Local", kind=ProviderKind.OLLAMA)
    )
    return with_hub(services, time, Counted())


@pytest.fixture
async def served(services: Services) -> AsyncIterator[Served]:
    async with serving(services) as found:
        yield found


async def tick(time: Time) -> None:
    await eventually(lambda: bool(time.sleepers))
    time.advance(seconds=TICK_SECONDS)


def payload(message: Any) -> Any:
    assert message["type"] == "next", message
    (found,) = message["payload"]["data"].values()
    return found


def test_every_kind_that_is_shared_is_tested() -> None:
    """Whoever adds one that is shared adds it here: a joiner's first message is its own."""
    found = cast("StrawberryObjectDefinition", schema.get_type_by_name("Subscription"))
    names = {
        schema.config.name_converter.from_field(field)
        for field in found.fields
        if field.metadata[SHARED]
    }
    assert names == {"usageUpdated", *CHANGES}


@pytest.mark.parametrize("field", [*CHANGES])
async def test_whoever_joins_begins_with_ready_and_then_hears_what_all_hear(
    served: Served, services: Services, field: str
) -> None:
    query = f"subscription {{ {field} {{ kind }} }}"
    async with opened(served) as first, opened(served) as second:
        await subscribe(first, query, "a")
        assert payload(await said(first)) == {"kind": "READY"}
        services.events.publish(CHANGES[field])
        # There is no such object any more.
        assert payload(await said(first)) == {"kind": "DELETED"}
        await subscribe(second, query, "b")
        assert payload(await said(second)) == {"kind": "READY"}
        services.events.publish(CHANGES[field])
        for connection, operation_id in ((first, "a"), (second, "b")):
            message = await said(connection)
            assert (message["id"], payload(message)) == (operation_id, {"kind": "DELETED"})
    assert len(served.executed) == 1


async def test_whoever_joins_usage_begins_with_a_snapshot_and_then_gets_the_deltas(
    served: Served, services: Services, time: Time
) -> None:
    await record(services, "a")
    async with opened(served) as first, opened(served) as second:
        await subscribe(first, USAGE, "a", input=INPUT)
        assert payload(await said(first))["series"]["totals"] == {"requests": 1}
        await tick(time)
        await record(services, "b")
        assert payload(await said(first))["totals"] == {"requests": 2}
        await subscribe(second, USAGE, "b", input=INPUT)
        assert payload(await said(second))["series"]["totals"] == {"requests": 2}
        await tick(time)
        await record(services, "c")
        deltas = [payload(await said(one)) for one in (first, second)]
        assert deltas[0] == deltas[1]
        assert deltas[0]["totals"] == {"requests": 3}
    assert len(served.executed) == 1


async def test_complete_is_the_end_of_one_and_not_of_the_others(
    served: Served, services: Services
) -> None:
    query = "subscription { providerChanged { kind } }"
    async with opened(served) as first, opened(served) as second:
        for connection in (first, second):
            await subscribe(connection, query)
            await said(connection)
        await first.send(json.dumps({"id": "1", "type": "complete"}))
        await first.send(json.dumps({"type": "ping"}))
        assert await said(first) == {"type": "pong"}
        services.events.publish(CHANGES["providerChanged"])
        assert payload(await said(second)) == {"kind": "DELETED"}
        # Its id is free again, and nothing of what was comes with it.
        await subscribe(first, query)
        assert payload(await said(first)) == {"kind": "READY"}


async def test_the_last_to_leave_leaves_nothing_behind(
    served: Served, services: Services, time: Time
) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(10):
            connection = await stack.enter_async_context(opened(served))
            await subscribe(connection, "subscription { modelChanged { kind } }", "a")
            await said(connection)
            await subscribe(connection, USAGE, "b", input=INPUT)
            await said(connection)
        assert len(served.executed) == 2
        assert services.hub.feed_count == 1
    await eventually(lambda: services.hub.feed_count == 0)
    await eventually(lambda: not services.events._subscriptions)


async def test_a_session_that_ends_takes_its_sockets_and_no_others(
    served: Served, services: Services
) -> None:
    query = "subscription { providerChanged { kind } }"
    begun = await served.gate.begin_session(await served.gate.issue_code())
    assert begun is not None
    async with opened(served, session=begun.token) as browser, opened(served) as other:
        for connection in (browser, other):
            await subscribe(connection, query)
            assert payload(await said(connection)) == {"kind": "READY"}
        assert len(served.executed) == 1, "both see the same"
        await served.gate.end_session(begun.token)
        services.events.publish(CHANGES["providerChanged"])
        with pytest.raises(ConnectionClosed):
            await said(browser)
        assert browser.close_code == 4403
        assert payload(await said(other)) == {"kind": "DELETED"}


async def test_an_id_in_use_is_refused_though_it_has_no_task(served: Served) -> None:
    async with opened(served) as connection:
        await subscribe(connection, "subscription { modelChanged { kind } }")
        await said(connection)
        await subscribe(connection, "{ serverInfo { version } }")
        await connection.wait_closed()
        assert connection.close_code == 4409


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("subscription { providerChanged { nothing } }", {}),
        (USAGE, {"input": INPUT | {"topGroups": 0}}),
        (USAGE, {"input": INPUT | {"timezone": "Nowhere"}}),
        (USAGE, {}),
    ],
)
async def test_what_is_refused_is_refused_to_each(
    served: Served, query: str, variables: dict[str, Any]
) -> None:
    async with opened(served) as first, opened(served) as second:
        for connection in (first, second):
            await subscribe(connection, query, **variables)
        for connection in (first, second):
            message = await said(connection)
            assert (message["id"], message["type"]) == ("1", "error")
            assert message["payload"][0]["extensions"]["code"] == "BAD_USER_INPUT"
            await subscribe(connection, "{ serverInfo { version } }")
            assert (await said(connection))["type"] == "next"


async def test_an_event_stream_shares_with_sockets(served: Served, services: Services) -> None:
    query = "subscription { providerChanged { kind } }"
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "text/event-stream"}
    async with opened(served) as connection, httpx2.AsyncClient() as client:
        await subscribe(connection, query)
        await said(connection)
        asked = client.stream(
            "POST",
            f"http://127.0.0.1:{served.port}/graphql",
            json={"query": query, "variables": {}},
            headers=headers,
        )
        async with asked as response:
            lines = response.aiter_lines()

            async def next_kind() -> str:
                async for line in lines:
                    if line.startswith("data:"):
                        data = json.loads(line.removeprefix("data:"))["data"]
                        kind: str = data["providerChanged"]["kind"]
                        return kind
                raise AssertionError("the stream ended")

            assert await asyncio.wait_for(next_kind(), 20) == "READY"
            services.events.publish(CHANGES["providerChanged"])
            assert await asyncio.wait_for(next_kind(), 20) == "DELETED"
            assert payload(await said(connection)) == {"kind": "DELETED"}
    assert len(served.executed) == 1


@pytest.mark.parametrize("window_bits", [None, 10])
async def test_compressed_messages_say_the_same(
    services: Services, time: Time, window_bits: int | None
) -> None:
    """Also to a client that looks back less far than we would."""
    from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

    offer = ClientPerMessageDeflateFactory(server_max_window_bits=window_bits)
    for number in range(20):
        await record(services, f"{number}", agent=f"agent {number} \N{SNOWMAN}")
    async with (
        serving(services, websocket_compression=True) as served,
        opened(served) as plain,
        opened(served, extensions=[offer]) as first,
        opened(served, extensions=[offer]) as second,
    ):
        (extension,) = second.protocol.extensions
        assert isinstance(extension, PerMessageDeflate)
        assert extension.remote_no_context_takeover, "40 kB less are held for it"
        assert not plain.protocol.extensions
        for connection, operation_id in ((plain, "p"), (first, "\N{SNOWMAN}"), (second, "x" * 200)):
            await subscribe(connection, LONG, operation_id, input=INPUT)
        messages = [await said(one) for one in (plain, first, second)]
        assert [one["id"] for one in messages] == ["p", "\N{SNOWMAN}", "x" * 200]
        assert len(payload(messages[0])["series"]["groups"]) == 11
        assert payload(messages[0]) == payload(messages[1]) == payload(messages[2])
        # And what is one's own, large and small.
        query = "{ __schema { types { name description } } serverInfo { version } }"
        for connection in (plain, first):
            await subscribe(connection, query, "own")
        answers = [await said(one) for one in (plain, first)]
        assert answers[0] == answers[1]
        assert [(await said(one))["type"] for one in (plain, first)] == ["complete"] * 2
    assert len(served.executed) == 3
