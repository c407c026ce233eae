"""Certificates of an operator's own authority, against a real server with TLS."""

from pathlib import Path

import pytest

from tests.trunkline.providers.certificates import Authority
from tests.trunkline.providers.scripted import Everywhere, http_answer, scripted_server
from tests.trunkline.providers.test_outgoing import Resolves, ask
from trunkline.providers.outgoing_errors import TlsFailed
from trunkline.providers.trust import BadTrustSetting, trusted_certificates

HOST = "models.corp.example"


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
async def test_an_authority_of_ones_own_is_trusted(tmp_path: Path, variable: str) -> None:
    authority = Authority(tmp_path)
    trust = trusted_certificates({variable: str(authority.bundle)})
    resolver = Resolves("127.0.0.1")
    async with scripted_server(authority.server(HOST)) as provider:
        provider.answers = [http_answer(b"{}")]
        url = provider.url.replace("127.0.0.1", HOST)
        async with Everywhere(trust=trust, resolver=resolver) as outgoing:
            assert (await ask(outgoing, url)).status == 200
        async with Everywhere(resolver=resolver) as outgoing:
            with pytest.raises(TlsFailed):
                await ask(outgoing, url)
    assert len(provider.asked) == 1


async def test_another_authority_than_the_named_one_is_not_trusted(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    trust = trusted_certificates(
        {"SSL_CERT_FILE": str(ours.bundle), "REQUESTS_CA_BUNDLE": str(theirs.bundle)}
    )
    async with scripted_server(theirs.server(HOST)) as provider:
        url = provider.url.replace("127.0.0.1", HOST)
        async with Everywhere(trust=trust, resolver=Resolves("127.0.0.1")) as outgoing:
            with pytest.raises(TlsFailed):
                await ask(outgoing, url)
    assert provider.asked == []


def test_the_system_is_trusted_where_nothing_is_named() -> None:
    assert trusted_certificates({"SSL_CERT_FILE": ""}) is None


def test_a_file_that_holds_no_certificates_is_named_by_its_variable(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    with pytest.raises(BadTrustSetting, match="SSL_CERT_FILE names a file without certificates"):
        trusted_certificates({"SSL_CERT_FILE": str(empty)})
    with pytest.raises(BadTrustSetting, match="REQUESTS_CA_BUNDLE names a file that isn't there"):
        trusted_certificates({"REQUESTS_CA_BUNDLE": str(tmp_path / "missing.pem")})
