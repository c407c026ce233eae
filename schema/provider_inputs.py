"""What mutations of providers take."""

import strawberry
from strawberry import UNSET, Maybe

from db.vocabulary import ProviderKind
from schema.fields import EXPECTED_VERSION

EXTRA_HEADERS = (
    "Sent with each request to it, beside those of its protocol: an organisation's id, say. At "
    "most 20, of 8 KiB together. Values are stored encrypted, bound to this provider and host, "
    "and never readable."
)


@strawberry.input(
    description="A header of your own. Without a `value` the stored one of this name stays."
)
class ExtraHeaderInput:
    """Becomes an `ExtraHeader`."""

    name: str = strawberry.field(
        description=(
            "A header's name by RFC 9110. None that carries a key (`Authorization`, `x-api-key`), "
            "a cookie, or is about the connection (`Host`, `Content-Length`)."
        )
    )
    value: str | None = strawberry.field(
        default=UNSET, description="Printable ASCII characters; it may be a secret."
    )


@strawberry.input(description="A provider to create.")
class CreateProviderInput:
    """Becomes a `NewProvider`."""

    slug: str = strawberry.field(
        description="URL-safe and unique: lower-case letters, digits and hyphens. Never changes."
    )
    name: str = strawberry.field(description="For people, 1 to 200 characters.")
    kind: ProviderKind = strawberry.field(description="The protocol that it speaks.")
    base_url: str | None = strawberry.field(
        default=UNSET,
        description="Where its API is. Default: the kind's own; OPENAI_COMPATIBLE has none.",
    )
    api_key: str | None = strawberry.field(
        default=UNSET, description="Stored encrypted, bound to this provider and host."
    )
    extra_headers: list[ExtraHeaderInput] | None = strawberry.field(
        default=UNSET, description=EXTRA_HEADERS
    )
    enabled: bool = strawberry.field(default=True, description="Whether it may be used.")


@strawberry.input(
    description=(
        "A base URL of another origin needs a key given with it, while one is stored, and so for "
        "extra headers."
    )
)
class UpdateProviderInput:
    """Becomes a `ProviderUpdate`."""

    id: strawberry.ID = strawberry.field(description="Which provider.")
    expected_version: int | None = strawberry.field(default=UNSET, description=EXPECTED_VERSION)
    name: Maybe[str | None] = strawberry.field(description="For people, 1 to 200 characters.")
    base_url: Maybe[str | None] = strawberry.field(description="Where its API is.")
    api_key: Maybe[str | None] = strawberry.field(
        description="Replaces the stored one. To remove it, use `removeProviderApiKey`."
    )
    extra_headers: Maybe[list[ExtraHeaderInput] | None] = strawberry.field(
        description=f"The whole list: what it leaves out is removed. {EXTRA_HEADERS}"
    )
    enabled: Maybe[bool | None] = strawberry.field(description="Whether it may be used.")


@strawberry.input(description="Whose key to forget.")
class RemoveProviderApiKeyInput:
    """Id and version."""

    id: strawberry.ID = strawberry.field(description="Which provider.")
    expected_version: int | None = strawberry.field(default=UNSET, description=EXPECTED_VERSION)


@strawberry.input(description="Which provider to delete.")
class DeleteProviderInput:
    """Id and version."""

    id: strawberry.ID = strawberry.field(description="Which provider.")
    expected_version: int | None = strawberry.field(default=UNSET, description=EXPECTED_VERSION)


@strawberry.input(
    description=(
        "Exactly one of `providerId` and `kind`. The stored key and extra headers go to the stored "
        "URL's origin only: a draft URL elsewhere needs drafts of them."
    )
)
class TestConnectionInput:
    """Becomes a `ConnectionToTest`."""

    __test__ = False

    provider_id: strawberry.ID | None = strawberry.field(
        default=UNSET, description="A saved provider, to test as it is or with a draft."
    )
    kind: ProviderKind | None = strawberry.field(
        default=UNSET, description="The protocol of a provider that doesn't exist yet."
    )
    base_url: str | None = strawberry.field(
        default=UNSET, description="A draft. Default: the saved one, else the kind's own."
    )
    api_key: str | None = strawberry.field(
        default=UNSET, description="A draft. Default: the saved one."
    )
    extra_headers: list[ExtraHeaderInput] | None = strawberry.field(
        default=UNSET, description="A draft, the whole list. Default: the saved ones."
    )
