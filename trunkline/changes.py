"""What an update leaves out, and the checks that every change of configuration shares.

An update input has three cases: left out (`UNSET`: stays as it is), null, and a value. Null is
invalid except where a field says that it clears it.
"""

import unicodedata
from enum import Enum
from typing import Final, Literal, TypeAlias, TypeVar

from trunkline.errors import Problem, ProblemCode, Refused

T = TypeVar("T")


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "UNSET"


UNSET: Final = Unset.UNSET
Given: TypeAlias = T | Literal[Unset.UNSET] | None
"""A field of an update: a value, null, or left out."""

LONGEST_NAME = 200
LONGEST_SLUG = 60
LONGEST_DESCRIPTION = 4_000


class Problems:
    """Collects every problem of an input; `refuse_if_any` raises them together."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    @property
    def found(self) -> tuple[Problem, ...]:
        """Those noted so far."""
        return tuple(self._found)

    def concern(self, field: str) -> bool:
        """Whether one of them is about this top-level field."""
        return any(problem.field and problem.field[0] == field for problem in self._found)

    def add(self, code: ProblemCode, field: tuple[str, ...] | None, message: str) -> None:
        """Note one problem."""
        self._found.append(Problem(code, field, message))

    def invalid(self, field: tuple[str, ...], message: str) -> None:
        """Note an INVALID."""
        self.add(ProblemCode.INVALID, field, message)

    def refuse_if_any(self, current: object | None = None) -> None:
        """Raise `Refused` where there is a problem."""
        if self._found:
            raise Refused(self._found, current=current)

    def value(self, given: "Given[T]", field: str) -> T | None:
        """The value of an update's field, None where it was left out; null is INVALID."""
        if given is None:
            self.invalid((field,), f"{field} can't be null: leave it out to keep what it is")
            return None
        return None if given is UNSET else given

    def text(
        self,
        text: str,
        field: tuple[str, ...],
        *,
        longest: int,
        required: bool = True,
        label: str | None = None,
    ) -> str:
        """The text without surrounding white space, once it is found storable and of fit length.

        Messages call it by `label`, else by its field.
        """
        stripped = text.strip()
        label = label or field[-1]
        if required and not stripped:
            self.invalid(field, f"{label} can't be empty")
        elif len(stripped) > longest:
            self.invalid(field, f"{label} may have at most {longest} characters")
        elif unstorable := unstorable_character(stripped):
            self.invalid(field, f"{label} holds {unstorable}: remove it")
        return stripped

    def slug(self, slug: str, field: tuple[str, ...]) -> None:
        """Check that a slug is URL-safe: lower-case letters and digits, hyphens between them."""
        parts = slug.split("-")
        fits = all(
            part and part.isascii() and part.isalnum() and part == part.lower() for part in parts
        )
        if not fits or len(slug) > LONGEST_SLUG:
            self.invalid(
                field,
                f"{field[-1]} takes 1 to {LONGEST_SLUG} lower-case letters (a-z) and digits, "
                "with single hyphens between them",
            )


def unstorable_character(text: str) -> str | None:
    """What in `text` the databases or a terminal would trip over, named for a person; or None.

    Line breaks and tabs are fine. NUL and lone surrogates are what SQLite and PostgreSQL differ on.
    """
    if text.isprintable():
        return None
    for character in text:
        category = unicodedata.category(character)
        if category == "Cs" or (category == "Cc" and character not in "\n\r\t"):
            return f"the character U+{ord(character):04X}"
    return None


def version_conflict(current: object, version: int) -> Refused:
    """The refusal for an `expectedVersion` that is no longer true."""
    return Refused(
        [
            Problem(
                ProblemCode.VERSION_CONFLICT,
                ("expectedVersion",),
                f"somebody changed it meanwhile: it is at version {version} now; "
                "look at what stands, then try again with that version",
            )
        ],
        current=current,
    )


def not_found(field: tuple[str, ...], what: str) -> Refused:
    """The refusal for an id that names nothing living."""
    return Refused([Problem(ProblemCode.NOT_FOUND, field, f"there is no such {what}")])
