"""Headers of an operator's own: checked, sealed for one host, sent with each request."""

from typing import Any

import pytest
from sqlalchemy import update

from db import providers as store
from db.provider_rows import ProviderRow
from db.tables import providers
from db.vocabulary import ConnectionTestStatus, ProviderKind, ProviderStatus
from tests.conftest import Execute
from tests.trunkline.providers.scripted import Scripted
from trunkline.catalog.listing import sync_models
from trunkline.changes import UNSET, Problems
from trunkline.errors import Refused
from trunkline.providers.changes import (
    NewProvider,
    ProviderUpdate,
    create_provider,
    delete_provider,
    update_provider,
)
from trunkline.providers.extra_headers import (
    ExtraHeader,
    checked_extra_headers,
    extra_headers_of,
)
from trunkline.providers.testing import ConnectionToTest, run_connection_test
from trunkline.secrets import SecretUnreadable
from trunkline.services import Services

SECRET = "planted-secret-0123456789"
ORGANISATION = ExtraHeader("OpenAI-Organization", "org-1")
TOKEN = ExtraHeader("X-Gateway-Token", SECRET)


@pytest.fixture
async def provider(services: Services, scripted: Scripted) -> ProviderRow:
    """One with two headers, at a server that lists a model."""
    scripted.answer_json({"data": [{"id": "m"}]})
    new = NewProvider(
        slug="own",
        name="Own",
        kind=ProviderKind.OPENAI_COMPATIBLE,
        base_url=f"{scripted.url}/v1",
        extra_headers=[ORGANISATION, TOKEN],
    )
    return await create_provider(services, new)


async def changed(services: Services, provider: ProviderRow, **fields: Any) -> ProviderRow:
    return await update_provider(services, ProviderUpdate(id=provider.id, **fields))


def problems(refusal: Refused) -> list[tuple[str, ...]]:
    return [(problem.code, *(problem.field or ())) for problem in refusal.problems]


@pytest.mark.parametrize(
    "name",
    ["Authorization", "x-api-key", "X-Goog-Api-Key", "Cookie", "Host", "Content-Length",
     "Transfer-Encoding", "connection", "Proxy-Authorization", "TE", "Upgrade", "Content-Type",
     "anthropic-version", "", "two words", "a:b", "größe", "a\r\nb", "x" * 9_000],
)  # fmt: skip
def test_a_name_that_is_none_of_the_operators_is_refused(name: str) -> None:
    found = Problems()
    checked_extra_headers(found, [ExtraHeader(name, "1")], {})
    [problem] = found.found
    assert (problem.code, (problem.field or ())[0]) == ("INVALID", "extraHeaders")


@pytest.mark.parametrize("value", ["", " ", "a\r\nb", "\0", "größe", "\ud800", "\x7f"])
def test_a_value_that_no_header_carries_is_refused(value: str) -> None:
    found = Problems()
    checked_extra_headers(found, [ExtraHeader("X-A", value)], {})
    assert [problem.field for problem in found.found] == [("extraHeaders", "0", "value")]


@pytest.mark.parametrize("name", ["api-key", "OpenAI-Organization", "anthropic-beta", "!#$%&'*+-."])
def test_any_other_name_is_taken_as_it_is_written(name: str) -> None:
    found = Problems()
    assert checked_extra_headers(found, [ExtraHeader(name, " 1 ")], {}) == {name: "1"}
    assert found.found == ()


def test_names_count_once_and_all_are_bounded() -> None:
    def codes(*given: ExtraHeader) -> list[tuple[str, ...]]:
        found = Problems()
        checked_extra_headers(found, given, {})
        return [(problem.code, *(problem.field or ())) for problem in found.found]

    assert codes(ORGANISATION, ExtraHeader("openai-organization", "2")) == [
        ("DUPLICATE", "extraHeaders", "1", "name")
    ]
    assert codes(*(ExtraHeader(f"X-{n}", "1") for n in range(20))) == []
    assert codes(*(ExtraHeader(f"X-{n}", "1") for n in range(21))) == [("TOO_MANY", "extraHeaders")]
    assert codes(ExtraHeader("X-A", "1" * (8 * 1024 - 3))) == []
    assert codes(ExtraHeader("X-A", "1" * (8 * 1024 - 2))) == [("INVALID", "extraHeaders")]


async def test_they_go_with_tests_and_syncs_beside_the_key(
    services: Services, scripted: Scripted, provider: ProviderRow
) -> None:
    await changed(services, provider, api_key="sk-own-0123456789")
    tested = await run_connection_test(services, ConnectionToTest(provider_id=provider.id))
    assert tested.test.status is ConnectionTestStatus.OK
    await sync_models(services, provider.id)
    assert len(scripted.asked) == 2
    for asked in scripted.asked:
        assert "OpenAI-Organization: org-1\r\n" in asked
        assert f"X-Gateway-Token: {SECRET}\r\n" in asked
        assert "Authorization: Bearer sk-own-0123456789\r\n" in asked


async def test_values_are_nowhere_to_be_read(
    services: Services, execute: Execute, provider: ProviderRow
) -> None:
    assert provider.extra_header_names == ("OpenAI-Organization", "X-Gateway-Token")
    assert extra_headers_of(services, provider) == {
        "OpenAI-Organization": "org-1",
        "X-Gateway-Token": SECRET,
    }
    shown = repr(extra_headers_of(services, provider)) + repr(provider) + repr(TOKEN)
    assert SECRET not in shown
    assert SECRET.encode() not in (provider.extra_headers_encrypted or b"")
    found = await execute('{ provider(slug: "own") { extraHeaderNames } }')
    assert found["provider"] == {"extraHeaderNames": ["OpenAI-Organization", "X-Gateway-Token"]}


async def test_an_edit_is_the_whole_list_and_keeps_values_it_leaves_out(
    services: Services, provider: ProviderRow
) -> None:
    await run_connection_test(services, ConnectionToTest(provider_id=provider.id))
    kept = [ExtraHeader("OpenAI-Organization"), ExtraHeader("X-Gateway-Token")]
    same = await changed(services, provider, extra_headers=kept)
    assert (same.version, same.status) == (1, ProviderStatus.CONNECTED), "nothing changed"
    edited = await changed(
        services, provider, extra_headers=[ExtraHeader("x-gateway-token"), ExtraHeader("X-B", "2")]
    )
    assert extra_headers_of(services, edited) == {"x-gateway-token": SECRET, "X-B": "2"}
    assert (edited.version, edited.status) == (2, ProviderStatus.UNTESTED)
    with pytest.raises(Refused) as refused:
        await changed(services, provider, extra_headers=[ExtraHeader("X-C")])
    assert problems(refused.value) == [("INVALID", "extraHeaders", "0", "value")]
    with pytest.raises(Refused) as refused:
        await changed(services, provider, extra_headers=None)
    assert problems(refused.value) == [("INVALID", "extraHeaders")]
    assert (await changed(services, provider, extra_headers=UNSET)).version == 2
    without = await changed(services, provider, extra_headers=[])
    assert (without.extra_header_names, without.extra_headers_encrypted) == ((), None)


async def test_they_do_not_follow_to_another_host(
    services: Services, scripted: Scripted, provider: ProviderRow
) -> None:
    elsewhere = "http://127.0.0.1:9/v1"
    with pytest.raises(Refused) as refused:
        await changed(services, provider, base_url=elsewhere)
    assert problems(refused.value) == [("INVALID", "baseUrl")]
    with pytest.raises(Refused) as refused:
        await changed(
            services, provider, base_url=elsewhere, extra_headers=[ExtraHeader("X-Gateway-Token")]
        )
    assert problems(refused.value) == [("INVALID", "extraHeaders", "0", "value")]
    for draft, expected in ((None, []), ([ExtraHeader("X-Gateway-Token")], ["0", "value"])):
        wanted = ConnectionToTest(provider_id=provider.id, base_url=elsewhere, extra_headers=draft)
        with pytest.raises(Refused) as refused:
            await run_connection_test(services, wanted)
        assert problems(refused.value) == [("INVALID", "extraHeaders", *expected)]
    moved = await changed(
        services, provider, base_url=elsewhere, extra_headers=[ExtraHeader("X-New", "1")]
    )
    assert extra_headers_of(services, moved) == {"X-New": "1"}
    other_path = await changed(services, moved, base_url="http://127.0.0.1:9/other")
    assert extra_headers_of(services, other_path) == {"X-New": "1"}
    assert scripted.asked == []


async def test_a_row_whose_host_was_changed_behind_our_back_opens_none(
    services: Services, provider: ProviderRow
) -> None:
    await services.database.transact(
        lambda connection: connection.execute(
            update(providers).values(base_url="http://evil.example")
        )
    )
    async with services.database.read() as connection:
        found = await store.find_provider(connection, provider.id)
    assert found is not None
    with pytest.raises(SecretUnreadable, match="extra headers"):
        extra_headers_of(services, found)
    with pytest.raises(Refused) as refused:
        await run_connection_test(services, ConnectionToTest(provider_id=provider.id))
    assert problems(refused.value) == [("INVALID", "extraHeaders")]
    # Set anew they are fine.
    again = await changed(services, found, extra_headers=[ExtraHeader("X-A", "1")])
    assert extra_headers_of(services, again) == {"X-A": "1"}


async def test_a_key_that_was_put_in_their_place_is_not_taken_for_headers(
    services: Services, provider: ProviderRow
) -> None:
    keyed = await changed(services, provider, api_key=SECRET)
    await services.database.transact(
        lambda connection: store.store_extra_headers(
            connection, provider.id, names=["X-A"], sealed=keyed.api_key_encrypted
        )
    )
    async with services.database.read() as connection:
        found = await store.find_provider(connection, provider.id)
    assert found is not None
    with pytest.raises(SecretUnreadable) as refused:
        extra_headers_of(services, found)
    assert SECRET not in f"{refused.value!r} {refused.value.__cause__!r}"


async def test_a_draft_is_tested_and_not_stored(
    services: Services, scripted: Scripted, provider: ProviderRow
) -> None:
    draft = [ExtraHeader("X-Gateway-Token"), ExtraHeader("X-Draft", "1")]
    tested = await run_connection_test(
        services, ConnectionToTest(provider_id=provider.id, extra_headers=draft)
    )
    assert tested.test.status is ConnectionTestStatus.OK
    assert tested.provider is not None
    assert tested.provider.status is ProviderStatus.UNTESTED
    assert f"X-Gateway-Token: {SECRET}\r\nX-Draft: 1\r\n" in scripted.asked[0]
    assert "OpenAI-Organization" not in scripted.asked[0]
    new = ConnectionToTest(
        kind=ProviderKind.OPENAI_COMPATIBLE,
        base_url=scripted.url,
        extra_headers=[ExtraHeader("X-Draft", "2")],
    )
    await run_connection_test(services, new)
    assert "X-Draft: 2\r\n" in scripted.asked[1]


async def test_a_deleted_provider_keeps_none(services: Services, provider: ProviderRow) -> None:
    await delete_provider(services, provider.id, None)
    async with services.database.read() as connection:
        row = (
            await connection.execute(providers.select().where(providers.c.id == provider.id))
        ).one()
    assert (row.extra_header_names, row.extra_headers_encrypted) == (None, None)


async def test_over_graphql_all_problems_come_with_their_places(execute: Execute) -> None:
    create = """mutation ($input: CreateProviderInput!) { createProvider(input: $input) {
      provider { extraHeaderNames } userErrors { code field } } }"""
    given = {"slug": "own", "name": "Own", "kind": "OLLAMA", "apiKey": " "}
    headers = [{"name": "Host", "value": "x"}, {"name": "X-A"}, {"name": "X-B", "value": None}]
    made = (await execute(create, input=given | {"extraHeaders": headers}))["createProvider"]
    assert made["userErrors"] == [
        {"code": "INVALID", "field": ["apiKey"]},
        {"code": "INVALID", "field": ["extraHeaders", "0", "name"]},
        {"code": "INVALID", "field": ["extraHeaders", "1", "value"]},
        {"code": "INVALID", "field": ["extraHeaders", "2", "value"]},
    ]
    good = [{"name": "X-A", "value": "1"}]
    made = (await execute(create, input=given | {"extraHeaders": good, "apiKey": None}))[
        "createProvider"
    ]
    assert made == {"provider": {"extraHeaderNames": ["X-A"]}, "userErrors": []}
    update_text = """mutation ($input: UpdateProviderInput!) { updateProvider(input: $input) {
      provider { extraHeaderNames } userErrors { code field } } }"""
    found = await execute('{ provider(slug: "own") { id } }')
    edit = {"id": found["provider"]["id"], "extraHeaders": [{"name": "X-A"}, *good]}
    refused = (await execute(update_text, input=edit))["updateProvider"]
    assert refused["userErrors"] == [{"code": "DUPLICATE", "field": ["extraHeaders", "1", "name"]}]
    edit["extraHeaders"] = []
    edited = (await execute(update_text, input=edit))["updateProvider"]
    assert edited["provider"] == {"extraHeaderNames": []}
