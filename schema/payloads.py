"""What every mutation's payload shares: `userErrors`, every problem at once."""

import strawberry

from schema.fields import plain
from schema.scalars import enum_type
from trunkline.errors import ProblemCode

enum_type(
    ProblemCode,
    name="UserErrorCode",
    description="What kind of thing the caller has to put right.",
    values={
        "INVALID": "The value can't be taken as it is; the message says what can.",
        "TAKEN": "Another object has this name already.",
        "NOT_FOUND": "Nothing has this id or name.",
        "VERSION_CONFLICT": "It was changed since `expectedVersion`; the payload holds what stands.",
        "DUPLICATE": "The same thing is named twice in this input.",
        "KEY_REUSED": "The idempotency key names an event with other contents.",
        "IN_USE": "Something else depends on it; the payload says what.",
        "TOO_FEW": "The list is shorter than it may be.",
        "TOO_MANY": "The list is longer than it may be.",
        "UPSTREAM_FAILED": "The provider did not do its part; the connection test says why.",
    },
)


@strawberry.type(description="Something the caller can put right. The operation changed nothing.")
class UserError:
    """Read from `trunkline.errors.Problem`."""

    code: ProblemCode = plain("What kind of problem it is.")
    field: list[str] | None = plain(
        'Path to the input field, for example ["steps", "1", "modelId"]; '
        "null where it is about the whole."
    )
    message: str = plain("What is wrong and what to do, for a person.")


USER_ERRORS = "Every problem at once; empty where the operation did what it was asked."
