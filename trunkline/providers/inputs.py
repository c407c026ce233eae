"""What a provider is created and updated with, and the checks of it: every problem at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from db.provider_rows import ProviderRow
from db.vocabulary import ProviderKind
from trunkline.changes import LONGEST_NAME, UNSET, Given, Problems
from trunkline.providers.extra_headers import (
    ExtraHeader,
    checked_extra_headers,
    extra_headers_of,
)
from trunkline.providers.kinds import InvalidUrl, check_base_url, origin_of
from trunkline.secrets import SecretUnreadable
from trunkline.services import Services

LONGEST_API_KEY = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class NewProvider:
    """A provider to create. Without a base URL the kind's default is taken, where it has one."""

    slug: str
    name: str
    kind: ProviderKind
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    extra_headers: Sequence[ExtraHeader] = ()
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderUpdate:
    """What to change of a provider; what is UNSET stays. `extra_headers` is the whole list."""

    id: int
    expected_version: int | None = None
    name: Given[str] = UNSET
    base_url: Given[str] = UNSET
    api_key: Given[str] = field(default=UNSET, repr=False)
    extra_headers: Given[Sequence[ExtraHeader]] = UNSET
    enabled: Given[bool] = UNSET


@dataclass(frozen=True, slots=True)
class CheckedUpdate:
    """What differs from what stands; key and headers are None where they stay as they are."""

    columns: dict[str, Any]
    api_key: str | None = field(repr=False)
    extra_headers: Mapping[str, str] | None

    @property
    def is_of_connection(self) -> bool:
        """Whether a test of the old configuration says nothing of the new one."""
        return (
            "base_url" in self.columns or self.api_key is not None or self.extra_headers is not None
        )

    @property
    def replaced_secrets(self) -> Sequence[str]:
        """The fields, by the API's names, that hold other secrets now, though they may look alike:
        of headers the names are shown, and of a short key nothing is.
        """
        replaced = {"apiKey": self.api_key, "extraHeaderNames": self.extra_headers}
        return [name for name, secret in replaced.items() if secret is not None]


def checked_update(
    services: Services, current: ProviderRow, change: ProviderUpdate
) -> CheckedUpdate:
    """The update, checked against what stands. Raises `Refused`."""
    problems = Problems()
    columns: dict[str, Any] = {}
    name = problems.value(change.name, "name")
    if name is not None:
        columns["name"] = problems.text(name, ("name",), longest=LONGEST_NAME)
    enabled = problems.value(change.enabled, "enabled")
    if enabled is not None:
        columns["enabled"] = enabled
    api_key = None
    if change.api_key is None:
        problems.invalid(
            ("apiKey",), "apiKey can't be null: removeProviderApiKey forgets the stored one"
        )
    elif change.api_key is not UNSET:
        api_key = checked_api_key(problems, change.api_key)
    url = problems.value(change.base_url, "baseUrl")
    if url is not None:
        columns["base_url"] = checked_url(problems, url, current.kind)
    problems.refuse_if_any(current)
    columns = {name: value for name, value in columns.items() if value != getattr(current, name)}
    moved = "base_url" in columns and origin_of(columns["base_url"]) != origin_of(current.base_url)
    if moved and current.api_key is not None and api_key is None:
        problems.invalid(
            ("baseUrl",),
            "this is another host than the stored API key was given for: give the new host's "
            "key in apiKey with it, or remove the stored key first",
        )
    headers = _checked_headers(services, problems, current, change, moved=moved)
    problems.refuse_if_any(current)
    return CheckedUpdate(columns, api_key, headers)


def checked_api_key(problems: Problems, api_key: str) -> str:
    """The key without surrounding white space; a problem where no header could carry it."""
    stripped = api_key.strip()
    if not stripped:
        problems.invalid(("apiKey",), "apiKey can't be empty: leave it out to store none")
    elif len(stripped) > LONGEST_API_KEY:
        problems.invalid(("apiKey",), f"apiKey may have at most {LONGEST_API_KEY} characters")
    elif not (stripped.isascii() and stripped.isprintable()) or " " in stripped:
        problems.invalid(
            ("apiKey",), "apiKey holds characters that no key has: check what was pasted"
        )
    return stripped


def checked_url(problems: Problems, url: str | None, kind: ProviderKind) -> str:
    """The URL in one spelling; "" with a problem where it is none, or is needed and missing."""
    if url is None:
        problems.invalid(("baseUrl",), f"baseUrl is needed: {kind.value} has no default")
        return ""
    try:
        return check_base_url(url)
    except InvalidUrl as error:
        problems.invalid(("baseUrl",), str(error))
        return ""


def _checked_headers(
    services: Services,
    problems: Problems,
    current: ProviderRow,
    change: ProviderUpdate,
    *,
    moved: bool,
) -> Mapping[str, str] | None:
    given = problems.value(change.extra_headers, "extraHeaders")
    if given is None:
        if moved and current.extra_header_names:
            problems.invalid(
                ("baseUrl",),
                "this is another host than the stored extra headers were given for: give the new "
                "host's in extraHeaders with it, or an empty list",
            )
        return None
    stored = None
    if not moved:
        try:
            stored = extra_headers_of(services, current)
        except SecretUnreadable:  # Given whole they can be set anew all the same.
            stored = None
    headers = checked_extra_headers(problems, given, stored or {})
    same = stored is not None and list(headers.items()) == list(stored.items())
    return None if same else headers
