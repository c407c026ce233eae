"""Provider keys at rest: sealed for one provider and one origin, shown as a mask."""

import pytest

from trunkline.secrets import BadSecretKey, Secrets, SecretUnreadable, generate_secret_key, masked

KEY = "sk-ant-api03-planted-key-4f2A"


def test_a_sealed_key_opens_for_its_provider_and_origin() -> None:
    secrets = Secrets([generate_secret_key()])
    sealed = secrets.seal(KEY, provider_id=1, origin="https://api.anthropic.com:443")
    assert KEY.encode() not in sealed
    assert secrets.open(sealed, provider_id=1, origin="https://api.anthropic.com:443") == KEY


@pytest.mark.parametrize(
    ("provider_id", "origin"),
    [(2, "https://api.anthropic.com:443"), (1, "https://evil.example:443")],
)
def test_it_opens_for_no_other(provider_id: int, origin: str) -> None:
    secrets = Secrets([generate_secret_key()])
    sealed = secrets.seal(KEY, provider_id=1, origin="https://api.anthropic.com:443")
    with pytest.raises(SecretUnreadable) as refusal:
        secrets.open(sealed, provider_id=provider_id, origin=origin)
    assert KEY not in str(refusal.value)


def test_an_older_secret_key_still_opens_and_the_newest_seals() -> None:
    older, newer = generate_secret_key(), generate_secret_key()
    sealed = Secrets([older]).seal(KEY, provider_id=1, origin="o")
    rotated = Secrets([newer, older])
    assert rotated.open(sealed, provider_id=1, origin="o") == KEY
    resealed = rotated.seal(KEY, provider_id=1, origin="o")
    with pytest.raises(SecretUnreadable):
        Secrets([older]).open(resealed, provider_id=1, origin="o")


@pytest.mark.parametrize("keys", [[], ["short"], ["é" * 44]])
def test_a_bad_secret_key_is_named_without_being_shown(keys: list[str]) -> None:
    with pytest.raises(BadSecretKey) as refusal:
        Secrets(keys)
    assert not any(key in str(refusal.value) for key in keys)


@pytest.mark.parametrize(
    ("api_key", "mask"),
    [
        (KEY, "sk-ant-…4f2A"),
        ("sk-proj-0123456789abcdef", "sk-proj-…cdef"),
        ("AIzaSyA0123456789", "AIza…6789"),
        ("0123456789abcdef", "…cdef"),
        ("short", "…"),
        ("sk-ant-short", "…"),
        ("", "…"),
    ],
)
def test_a_mask_shows_a_public_prefix_and_four_characters_at_most(api_key: str, mask: str) -> None:
    assert masked(api_key) == mask
