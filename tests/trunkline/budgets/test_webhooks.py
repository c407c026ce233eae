"""Where webhooks may go, and how what goes there is signed."""

from datetime import UTC, datetime

import pytest

from trunkline.budgets.webhooks import (
    check_webhook_url,
    generate_message_id,
    generate_secret,
    signed_headers,
)
from trunkline.providers.kinds import InvalidUrl

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)


def test_the_specifications_own_example_is_signed_alike() -> None:
    """From the specification's reference libraries: message, secret, signature."""
    headers = signed_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        b'{"test": 2432232314}',
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        datetime.fromtimestamp(1614265330, UTC),
    )
    assert headers["webhook-id"] == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_two_secrets_sign_beside_each_other() -> None:
    first, second = generate_secret(), generate_secret()
    both = signed_headers("msg_1", b"{}", [first, second], NOW)["webhook-signature"]
    one_each = [
        signed_headers("msg_1", b"{}", [one], NOW)["webhook-signature"] for one in (first, second)
    ]
    assert both.split(" ") == one_each


def test_secrets_and_ids_are_never_the_same() -> None:
    assert len({generate_secret() for _ in range(50)}) == 50
    assert len({generate_message_id() for _ in range(50)}) == 50


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("https://hooks.example.com", "https://hooks.example.com/"),
        (" https://Hooks.Example.com:443/a/b/ ", "https://hooks.example.com/a/b/"),
        (
            "https://hooks.example.com/a?token=x%20y&b=1",
            "https://hooks.example.com/a?token=x%20y&b=1",
        ),
        ("https://hooks.example.com:8443/?q", "https://hooks.example.com:8443/?q"),
        ("https://[2606:4700::1111]/a", "https://[2606:4700::1111]/a"),
    ],
)
def test_a_url_is_taken_in_one_spelling(given: str, taken: str) -> None:
    assert check_webhook_url(given, may_be_private=False) == taken
    assert check_webhook_url(taken, may_be_private=False) == taken


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com",
        "ftp://hooks.example.com/",
        "http://hooks.example.com/",
        "https://user:secret@hooks.example.com/",
        "https://hooks.example.com/#part",
        "https://hooks.example.com/?a#part",
        "https://hooks.example.com/?a b",
        "https://hooks.example.com/?\N{SNOWMAN}",
        "https://hooks.example.com/\0",
        "https://hooks.example.com/?\ud800",
        "https://hooks.example.com/\ud800",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:99999/",
        "https:///path",
        "https://hooks.example.com/" + "x" * 3_000,
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
    ],
)
def test_other_urls_are_refused_with_what_to_do(url: str) -> None:
    with pytest.raises(InvalidUrl, match="webhookUrl"):
        check_webhook_url(url, may_be_private=False)


def test_private_networks_and_plain_http_are_by_setting_and_metadata_never() -> None:
    for url in ("http://127.0.0.1:9/", "http://10.1.2.3/", "http://hooks.internal/"):
        assert check_webhook_url(url, may_be_private=True) == url
    with pytest.raises(InvalidUrl, match="never"):
        check_webhook_url("http://169.254.169.254/", may_be_private=True)
