"""What a base URL may be, and its origin."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from db.vocabulary import ProviderKind
from trunkline.providers.kinds import (
    InvalidUrl,
    check_base_url,
    default_base_url,
    needs_key,
    origin_of,
)


@pytest.mark.parametrize(
    ("given_url", "checked"),
    [
        ("https://api.openai.com/v1/", "https://api.openai.com/v1"),
        ("  https://API.OpenAI.com:443/v1\n", "https://api.openai.com/v1"),
        ("HTTP://localhost:80", "http://localhost"),
        ("http://localhost:11434//", "http://localhost:11434"),
        ("http://[::1]:11434", "http://[::1]:11434"),
        ("http://[0:0:0:0:0:0:0:1]", "http://[::1]"),
        ("https://bücher.example/v1", "https://xn--bcher-kva.example/v1"),
        ("http://2130706433:8000/", "http://127.0.0.1:8000"),
        ("http://0x7f.1", "http://127.0.0.1"),
        ("http://１２７．０．０．１", "http://127.0.0.1"),
        ("http://010.1.1.1.", "http://8.1.1.1"),
        ("http://host1.0xide.example", "http://host1.0xide.example"),
        ("http://my_host:8000/Path/Kept", "http://my_host:8000/Path/Kept"),
    ],
)
def test_a_base_url_gets_one_spelling(given_url: str, checked: str) -> None:
    assert check_base_url(given_url) == checked
    assert check_base_url(checked) == checked


@pytest.mark.parametrize(
    "url",
    [
        "",
        "   ",
        "api.openai.com/v1",
        "//api.openai.com",
        "ftp://api.openai.com",
        "file:///etc/passwd",
        "http://",
        "http:///v1",
        "https://user@api.openai.com",
        "https://user:secret@api.openai.com",
        "https://@api.openai.com",
        "https://api.openai.com/v1?key=secret",
        "https://api.openai.com/v1?",
        "https://api.openai.com/v1#there",
        "https://api.openai.com/v1#",
        "https://api.openai.com:99999",
        "https://api.openai.com:0",
        "https://api.openai.com:",
        "https://api.openai.com:http",
        "https://api..com",
        "https://" + "a" * 64 + ".com",
        "https://" + "a." * 130 + "com",
        "https://api.openai.com\\@evil.example",
        "https://api.openai.com/\r\nHost: evil.example",
        "https://api.openai.com/a b",
        "https://api.openai.com/\x00",
        "https://[::1",
        "https://[nonsense]",
        "https://[::1]nonsense",
        "https://[v1.fe80::1]",
        "https://[127.0.0.1]",
        "https://127.0.0.256",
        "https://4294967296",
        "https://exa%6dple.com",
        "https://api.openai.com/" + "a" * 2_048,
    ],
)
def test_what_is_no_base_url_is_refused_with_a_reason(url: str) -> None:
    with pytest.raises(InvalidUrl, match="baseUrl") as refused:
        check_base_url(url)
    assert "secret" not in str(refused.value)


@given(st.text(max_size=60) | st.text("htps:/.@[]?#%\\1a \n", max_size=40).map("http://".__add__))
@example("http://[fe80::1%eth0]")
def test_any_text_is_checked_or_refused(text: str) -> None:
    try:
        checked = check_base_url(text)
    except InvalidUrl:
        return
    assert check_base_url(checked) == checked
    assert origin_of(checked).startswith(("http://", "https://"))
    assert "@" not in origin_of(checked)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://api.openai.com/v1", "https://API.openai.com:443/other", True),
        ("http://[::1]:8000/a", "http://[0:0::1]:8000/b", True),
        ("https://api.openai.com", "http://api.openai.com", False),
        ("https://api.openai.com", "https://api.openai.com:8443", False),
        ("https://api.openai.com", "https://api.openai.com.evil.example", False),
    ],
)
def test_an_origin_is_scheme_host_and_port(one: str, other: str, same: bool) -> None:
    assert (origin_of(check_base_url(one)) == origin_of(check_base_url(other))) is same


def test_every_kind_has_its_facts() -> None:
    for kind in ProviderKind:
        default = default_base_url(kind)
        assert default is None or check_base_url(default) == default
    assert [kind for kind in ProviderKind if not needs_key(kind)] == [
        ProviderKind.OLLAMA,
        ProviderKind.OPENAI_COMPATIBLE,
    ]
