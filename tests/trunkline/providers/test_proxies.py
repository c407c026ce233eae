"""Proxies by the environment: which requests go by them, what they never carry, how they fail."""

import contextlib
import traceback
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.vocabulary import ProviderKind
from tests.trunkline.providers.certificates import Authority
from tests.trunkline.providers.proxy_server import proxy_server
from tests.trunkline.providers.scripted import Scripted, http_answer, scripted_server
from tests.trunkline.providers.test_outgoing import KEY, ask
from trunkline.providers.addresses import Reach
from trunkline.providers.outgoing import Outgoing
from trunkline.providers.outgoing_errors import AddressRefused, TlsFailed, Unreachable
from trunkline.providers.proxies import BadProxySetting, Proxies, reach_of_host
from trunkline.providers.trust import trusted_certificates

HOST = "api.provider.example"


def proxies(**environment: str) -> Proxies:
    return Proxies.from_environment(environment)


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, f"https://{HOST}/v1", None),
        ({"HTTPS_PROXY": "http://p:1"}, f"https://{HOST}/v1", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, f"http://{HOST}/v1", None),
        ({"HTTP_PROXY": "http://p:1"}, f"http://{HOST}/v1", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, f"https://{HOST}/v1", None),
        ({"https_proxy": "http://lower:1", "HTTPS_PROXY": "http://p:1"}, f"https://{HOST}",
         "http://lower:1"),
        ({"HTTPS_PROXY": "", "ALL_PROXY": "p:1"}, f"https://{HOST}", "http://p:1"),
        ({"ALL_PROXY": "http://all:1", "HTTPS_PROXY": "https://p"}, f"https://{HOST}", "https://p"),
    ],
)  # fmt: skip
def test_the_usual_variables_choose_the_proxy(
    environment: Mapping[str, str], url: str, proxy: str | None
) -> None:
    assert Proxies.from_environment(environment).proxy_for(url) == proxy


@pytest.mark.parametrize(
    ("no_proxy", "directly", "by_proxy"),
    [
        ("*", f"https://{HOST}", None),
        (HOST, f"https://{HOST}", "https://my-api.provider.example"),
        ("provider.example", f"https://{HOST}", "https://otherprovider.example"),
        (".provider.example", f"https://{HOST}", "https://provider.example.org"),
        ("*.provider.example, x", f"https://{HOST}./v1", "https://y"),
        ("PROVIDER.example", f"https://{HOST}", "https://z"),
        (f"{HOST}:8443", f"https://{HOST}:8443", f"https://{HOST}"),
        (f"{HOST}:443", f"https://{HOST}", f"https://{HOST}:8443"),
        ("10.0.0.0/8", "https://10.2.3.4:1", "https://11.2.3.4"),
        ("10.2.3.4", "https://10.2.3.4", "https://10.2.3.5"),
        ("3.4", "https://1.3.4.example.3.4", "https://1.2.3.4"),
        ("[fd00::1]:443", "https://[fd00::1]", "https://[fd00::1]:444"),
        ("fd00::/8", "https://[fd00::1]", "https://[fe00::1]"),
        (",, /, 10.0.0.0/99, :1,", "http://127.0.0.1", "https://1.2.3.4"),
    ],
)
def test_no_proxy_names_what_is_asked_directly(
    no_proxy: str, directly: str, by_proxy: str | None
) -> None:
    found = proxies(HTTPS_PROXY="http://p:1", NO_PROXY=no_proxy)
    assert found.proxy_for(directly) is None
    if by_proxy is not None:
        assert found.proxy_for(by_proxy) == "http://p:1"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.9.9.9", "localhost", "ollama.localhost", "LOCALHOST.", "[::1]",
     "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"],
)  # fmt: skip
def test_loopback_never_goes_by_a_proxy(host: str) -> None:
    assert proxies(ALL_PROXY="http://p:1").proxy_for(f"http://{host}:11434/api/tags") is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("socks5://u:secret@p:1080", "HTTPS_PROXY names a proxy of the scheme 'socks5'"),
        ("http://u:secret@:3128", "HTTPS_PROXY names no host"),
        ("http://u:secret@p:99999", "HTTPS_PROXY is no URL"),
        ("http://u:secret@[::1", "HTTPS_PROXY is no URL"),
        ("p:0", "HTTPS_PROXY names no host"),
    ],
)
def test_a_bad_proxy_is_named_by_its_variable_alone(value: str, message: str) -> None:
    with pytest.raises(BadProxySetting) as refused:
        proxies(HTTPS_PROXY=value)
    assert str(refused.value).startswith(message)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("host", "reach"),
    [
        ("169.254.169.254", Reach.FORBIDDEN),
        ("169.254.169.254.", Reach.FORBIDDEN),
        ("2852039166", Reach.FORBIDDEN),
        ("0xa9fea9fe", Reach.FORBIDDEN),
        ("0251.0376.0251.0376", Reach.FORBIDDEN),
        ("169.254.43518", Reach.FORBIDDEN),
        ("fe80::1", Reach.FORBIDDEN),
        ("::ffff:169.254.169.254", Reach.FORBIDDEN),
        ("Metadata.Google.Internal", Reach.FORBIDDEN),
        ("10.1", Reach.PRIVATE),
        ("8.8.8.8", Reach.PUBLIC),
        (HOST, Reach.PUBLIC),
        ("a9fea9fe.example", Reach.PUBLIC),
    ],
)
def test_a_host_is_known_by_how_it_is_written(host: str, reach: Reach) -> None:
    assert reach_of_host(host) is reach


@given(st.text(max_size=30), st.text(max_size=30))
def test_whatever_stands_in_no_proxy_or_a_host_is_taken(no_proxy: str, host: str) -> None:
    found = proxies(ALL_PROXY="http://p:1", NO_PROXY=no_proxy)
    with contextlib.suppress(ValueError):  # It makes no URL.
        assert found.proxy_for(f"https://{host}/") in {None, "http://p:1"}
    assert reach_of_host(host) in Reach


async def test_a_request_goes_by_the_proxy(scripted: Scripted) -> None:
    scripted.answers = [http_answer(b"{}")]
    async with (
        proxy_server(scripted.url, "user:pass word") as proxy,
        Outgoing(
            proxies=proxies(HTTP_PROXY=f"http://user:pass%20word@127.0.0.1:{proxy.port}")
        ) as outgoing,
    ):
        # Neither the name nor a kind that may not be private matters: the proxy may be private.
        answer = await ask(outgoing, f"http://{HOST}:81", ProviderKind.OPENAI)
        assert answer.status == 200
        assert proxy.asked == [f"GET http://{HOST}:81/v1/models"]
        assert f"Bearer {KEY}" in scripted.asked[0]
        # Ollama of this machine is asked directly.
        assert (await ask(outgoing, scripted.url, ProviderKind.OLLAMA)).status == 200
    assert len(proxy.asked) == 1
    assert len(scripted.asked) == 2


async def test_tls_goes_through_a_tunnel_and_is_checked_with_our_own_authority(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    trust = trusted_certificates({"SSL_CERT_FILE": str(authority.bundle)})
    async with scripted_server(authority.server(HOST)) as provider:
        provider.answers = [http_answer(b"{}")]
        async with proxy_server(provider.url) as proxy:
            found = proxies(HTTPS_PROXY=proxy.url)
            async with Outgoing(proxies=found, trust=trust) as outgoing:
                assert (await ask(outgoing, f"https://{HOST}", ProviderKind.OPENAI)).status == 200
                # One that answers to another name than it was asked by.
                with pytest.raises(TlsFailed):
                    await ask(outgoing, "https://other.example", ProviderKind.OPENAI)
            async with Outgoing(proxies=found) as outgoing:
                with pytest.raises(TlsFailed):
                    await ask(outgoing, f"https://{HOST}", ProviderKind.OPENAI)
    assert proxy.asked == [f"CONNECT {host}:443" for host in (HOST, "other.example", HOST)]
    assert len(provider.asked) == 1, "the key goes to nobody who isn't trusted"


async def test_a_stream_goes_by_the_proxy_too(scripted: Scripted) -> None:
    scripted.answers = [http_answer(b"data: 1\n\n")]
    async with (
        proxy_server(scripted.url) as proxy,
        Outgoing(proxies=proxies(HTTP_PROXY=proxy.url)) as outgoing,
        outgoing.stream(
            ProviderKind.OPENAI, f"http://{HOST}/v1", headers={}, body=b"{}", timeout_seconds=5
        ) as answer,
    ):
        assert await answer.beginning(100) == b"data: 1\n\n"
    assert proxy.asked == [f"POST http://{HOST}/v1"]


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("169.254.169.254", ProviderKind.OPENAI_COMPATIBLE),
        ("2852039166", ProviderKind.OLLAMA),
        ("metadata.google.internal", ProviderKind.OLLAMA),
        ("[fe80::1]", ProviderKind.OLLAMA),
        ("10.0.0.1", ProviderKind.OPENAI),
    ],
)
async def test_no_proxy_is_asked_for_what_is_refused_anyway(
    scripted: Scripted, host: str, kind: ProviderKind
) -> None:
    async with (
        proxy_server(scripted.url) as proxy,
        Outgoing(proxies=proxies(ALL_PROXY=proxy.url)) as outgoing,
    ):
        with pytest.raises(AddressRefused):
            await ask(outgoing, f"http://{host}", kind)
        with pytest.raises(AddressRefused):
            async with outgoing.stream(
                kind, f"https://{host}/", headers={}, body=b"", timeout_seconds=5
            ):
                pass
    assert proxy.asked == []


async def test_a_private_address_goes_by_the_proxy_for_kinds_that_may_be_private(
    scripted: Scripted,
) -> None:
    scripted.answers = [http_answer(b"{}")]
    async with (
        proxy_server(scripted.url) as proxy,
        Outgoing(proxies=proxies(ALL_PROXY=proxy.url)) as outgoing,
    ):
        assert (await ask(outgoing, "http://10.0.0.1", ProviderKind.OLLAMA)).status == 200
    assert proxy.asked == ["GET http://10.0.0.1/v1/models"]


async def test_no_failure_on_the_way_through_a_proxy_shows_its_password(
    scripted: Scripted, tmp_path: Path
) -> None:
    async with (
        scripted_server(Authority(tmp_path).server(HOST)) as untrusted,
        proxy_server(untrusted.url, "user:planted-password") as proxy,
        Outgoing(
            proxies=proxies(HTTPS_PROXY=f"http://user:planted-password@127.0.0.1:{proxy.port}")
        ) as outgoing,
    ):
        with pytest.raises(TlsFailed) as failed:
            await ask(outgoing, f"https://{HOST}", ProviderKind.OPENAI)
    async with proxy_server(scripted.url, "user:right") as proxy:
        url = f"http://user:planted-password@127.0.0.1:{proxy.port}"
        async with Outgoing(proxies=proxies(HTTPS_PROXY=url)) as outgoing:
            with pytest.raises(Unreachable, match="proxy refused to connect, with status 407") as (
                refused
            ):
                await ask(outgoing, f"https://{HOST}", ProviderKind.OPENAI)
    async with Outgoing(proxies=proxies(HTTPS_PROXY=url)) as outgoing:
        with pytest.raises(Unreachable, match="proxy can't be reached") as gone:
            await ask(outgoing, f"https://{HOST}", ProviderKind.OPENAI)
    for error in (failed.value, refused.value, gone.value):
        cause = error.__cause__
        shown = "".join(traceback.format_exception(error)) + repr(error) + repr(cause)
        shown += repr(getattr(cause, "request_info", "")) + repr(cause.args if cause else "")
        assert "planted" not in shown
        assert KEY not in shown
        assert "cGxhbnRlZ" not in shown
    assert scripted.asked == []
