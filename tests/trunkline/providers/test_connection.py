"""Connection tests over real HTTP against a provider that speaks each protocol, errors included."""

import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from db.vocabulary import ConnectionTestStatus as Status
from db.vocabulary import ModelCapability, ProviderKind
from server.simulated.app import running_simulator
from server.simulated.behaviour import Behaviour, Fault
from tests.trunkline.providers.scripted import Everywhere
from trunkline.providers.connection import ConnectionOutcome, ask_for_models
from trunkline.providers.outgoing import Outgoing

KEY = "sk-planted-0123456789-4f2A"
KINDS = list(ProviderKind)


@dataclass
class Provider:
    """A running simulator, and how a provider of each kind names it."""

    url: str
    behaviour: Behaviour

    def base_url(self, kind: ProviderKind) -> str:
        openai = kind in {ProviderKind.OPENAI, ProviderKind.OPENAI_COMPATIBLE}
        return f"{self.url}/v1" if openai else self.url


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    behaviour = Behaviour(api_key=KEY)
    async with running_simulator(behaviour) as url:
        yield Provider(url, behaviour)


async def ask(
    provider: Provider,
    kind: ProviderKind,
    api_key: str | None = KEY,
    *,
    timeout_seconds: float = 10,
) -> ConnectionOutcome:
    async with Everywhere() as outgoing:
        return await ask_for_models(
            outgoing, kind, provider.base_url(kind), api_key, timeout_seconds=timeout_seconds
        )


@pytest.mark.parametrize("kind", KINDS)
async def test_a_good_key_lists_the_models(provider: Provider, kind: ProviderKind) -> None:
    outcome = await ask(provider, kind)
    assert outcome.status is Status.OK, outcome.message
    assert outcome.models is not None
    assert [model.wire_name for model in outcome.models] == list(provider.behaviour.models)
    assert outcome.latency_ms is not None
    assert outcome.http_status == 200


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault.NO_CREDIT, Status.NO_CREDIT),
        (Fault.FORBIDDEN, Status.FORBIDDEN),
        (Fault.RATE_LIMITED, Status.RATE_LIMITED),
        (Fault.SERVER_ERROR, Status.UPSTREAM_ERROR),
        (Fault.OVERLOADED, Status.UPSTREAM_ERROR),
        (Fault.WEB_PAGE, Status.UNEXPECTED_RESPONSE),
        (Fault.REDIRECT, Status.UNEXPECTED_RESPONSE),
        (Fault.NOT_FOUND, Status.UNEXPECTED_RESPONSE),
        (Fault.NOT_JSON, Status.UNEXPECTED_RESPONSE),
        (Fault.OTHER_JSON, Status.UNEXPECTED_RESPONSE),
        (Fault.CUT, Status.UNEXPECTED_RESPONSE),
        (Fault.HUGE, Status.UNEXPECTED_RESPONSE),
    ],
)
async def test_each_fault_is_classed_in_each_protocol(
    provider: Provider,
    kind: ProviderKind,
    fault: Fault,
    status: Status,
    caplog: pytest.LogCaptureFixture,
) -> None:
    provider.behaviour.fault = fault
    with caplog.at_level(logging.DEBUG):
        outcome = await ask(provider, kind)
    assert outcome.status is status, outcome.message
    assert outcome.models is None
    assert KEY not in repr(outcome)
    assert KEY not in caplog.text
    # A redirect is not followed, and nothing is tried twice.
    assert len(provider.behaviour.seen) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_key_refused_in_each_protocols_own_way_is_invalid(
    provider: Provider, kind: ProviderKind
) -> None:
    outcome = await ask(provider, kind, "sk-another-key-0123456789")
    assert outcome.status is Status.INVALID_KEY
    assert "sk-another" not in outcome.message


@pytest.mark.parametrize("kind", [ProviderKind.ANTHROPIC, ProviderKind.OPENAI, ProviderKind.GOOGLE])
async def test_without_a_key_nothing_is_sent(provider: Provider, kind: ProviderKind) -> None:
    outcome = await ask(provider, kind, None)
    assert outcome.status is Status.MISSING_KEY
    assert outcome.latency_ms is None
    assert not provider.behaviour.seen


@pytest.mark.parametrize("kind", KINDS)
async def test_a_provider_that_hangs_times_out(provider: Provider, kind: ProviderKind) -> None:
    provider.behaviour.fault = Fault.HANG
    outcome = await ask(provider, kind, timeout_seconds=0.3)
    assert outcome.status is Status.TIMEOUT
    assert "0.3 seconds" in outcome.message


async def test_a_web_page_is_called_one(provider: Provider) -> None:
    provider.behaviour.fault = Fault.WEB_PAGE
    assert "web page" in (await ask(provider, ProviderKind.OPENAI)).message


async def test_a_closed_port_is_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = Provider(f"http://127.0.0.1:{taken.getsockname()[1]}", Behaviour())
        outcome = await ask(closed, ProviderKind.OLLAMA, None)
    assert outcome.status is Status.UNREACHABLE
    assert outcome.latency_ms is None


async def test_plain_http_where_tls_is_expected_is_a_tls_error(provider: Provider) -> None:
    tls = Provider(provider.url.replace("http://", "https://"), Behaviour())
    outcome = await ask(tls, ProviderKind.OPENAI_COMPATIBLE, None)
    assert outcome.status is Status.TLS_ERROR


@pytest.mark.parametrize("kind", [ProviderKind.ANTHROPIC, ProviderKind.GOOGLE])
async def test_every_page_is_read(provider: Provider, kind: ProviderKind) -> None:
    provider.behaviour.models = tuple(f"model-{number}" for number in range(25))
    provider.behaviour.page_size = 10
    outcome = await ask(provider, kind)
    assert outcome.model_count == 25
    assert len(provider.behaviour.seen) == 3


async def test_ollama_tells_what_a_model_can_do(provider: Provider) -> None:
    outcome = await ask(provider, ProviderKind.OLLAMA)
    assert outcome.models is not None
    assert outcome.models[0].context_window == 32_768
    assert outcome.models[0].capabilities == frozenset({ModelCapability.TOOLS})


async def test_a_key_goes_in_a_header_and_never_in_the_url(provider: Provider) -> None:
    for kind in KINDS:
        await ask(provider, kind)
    assert not any(KEY in path for _, path, _ in provider.behaviour.seen)
    assert all(
        any(KEY in value for value in headers.values()) for *_, headers in provider.behaviour.seen
    )


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [
        (ProviderKind.ANTHROPIC, "/v1"),
        (ProviderKind.GOOGLE, "/v1beta"),
        (ProviderKind.OLLAMA, "/v1"),
        (ProviderKind.OLLAMA, "/api"),
    ],
)
async def test_a_path_that_people_copy_along_does_no_harm(
    provider: Provider, kind: ProviderKind, suffix: str
) -> None:
    async with Everywhere() as outgoing:
        outcome = await ask_for_models(outgoing, kind, provider.url + suffix, KEY)
    assert outcome.ok, outcome.message


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254",
        "http://[fe80::1]",
        "http://[::ffff:169.254.169.254]",
        "http://[64:ff9b::a9fe:a9fe]",
        "http://2852039166",
        "http://0xa9fea9fe",
        "http://0.0.0.0",
        "http://[fd00:ec2::254]",
        "http://100.100.100.200",
        "http://224.0.0.1",
        "ftp://127.0.0.1",
        "http://user:pass@127.0.0.1",
    ],
)
async def test_nobody_may_reach_metadata_or_link_local_addresses(url: str) -> None:
    async with Outgoing() as outgoing:
        outcome = await ask_for_models(outgoing, ProviderKind.OLLAMA, url, None, timeout_seconds=3)
    assert outcome.status is Status.INVALID_URL, outcome
    assert outcome.latency_ms is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "[::ffff:127.0.0.1]"])
async def test_loopback_is_for_local_kinds_unless_denied(provider: Provider, host: str) -> None:
    local = provider.url.replace("127.0.0.1", host)
    async with Outgoing() as outgoing:
        public_kind = await ask_for_models(outgoing, ProviderKind.OPENAI, f"{local}/v1", KEY)
        local_kind = await ask_for_models(
            outgoing, ProviderKind.OPENAI_COMPATIBLE, f"{local}/v1", KEY
        )
    async with Outgoing("deny") as outgoing:
        denied = await ask_for_models(outgoing, ProviderKind.OPENAI_COMPATIBLE, f"{local}/v1", KEY)
    # The client refuses the short and the decimal notation by itself, for every kind.
    assert public_kind.status is denied.status is Status.INVALID_URL
    assert not provider.behaviour.seen or local_kind.ok
    if host == "127.0.0.1":
        assert local_kind.ok
        assert "TRUNKLINE_PRIVATE_NETWORKS" in public_kind.message
