"""What every mutation's payload shares: `userErrors`, every problem at once."""

import strawberry

from schema.fields import plain
from trunkline.errors import ProblemCode


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
