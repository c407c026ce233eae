"""What mutations of providers take."""

import strawberry
from strawberry import UNSET, Maybe

from db.vocabulary import ProviderKind
from schema.fields import EXPECTED_VERSION


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
    enabled: bool = strawberry.field(default=True, description="Whether it may be used.")


@strawberry.input(
    description="A base URL of another origin needs a key given with it, while one is stored."
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
        "Exactly one of `providerId` and `kind`. The stored key goes to the stored URL's origin "
        "only: a draft URL elsewhere needs a draft key."
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
