"""Column types that hold the same values on SQLite (STRICT tables) and PostgreSQL.

STRICT knows five types only, so every column is one of these. An instant is stored as whole
microseconds since 1970, which sorts, compares and groups alike on both databases.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import REAL, BigInteger, Boolean, Dialect, Double, Integer, LargeBinary, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def whole() -> TypeEngine[int]:
    """A signed 64-bit integer."""
    return BigInteger().with_variant(Integer(), "sqlite")


def real() -> TypeEngine[float]:
    """A double."""
    return Double().with_variant(REAL(), "sqlite")


def blob() -> TypeEngine[bytes]:
    """Bytes."""
    return LargeBinary()


def plain_text() -> TypeEngine[str]:
    """Text that both databases compare by code point, so that keysets and sorts answer alike."""
    return Text().with_variant(Text(collation="C"), "postgresql")


class Flag(TypeDecorator[bool]):
    """A boolean; 0 or 1 on SQLite, whose STRICT tables have no BOOLEAN."""

    impl = Boolean
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Integer on SQLite."""
        return dialect.type_descriptor(Integer() if dialect.name == "sqlite" else Boolean())

    def process_bind_param(self, value: bool | None, dialect: Dialect) -> Any:  # noqa: FBT001  # the base class's
        """To what the driver takes."""
        return int(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> bool | None:  # noqa: ARG002
        """From what the driver gives."""
        return None if value is None else bool(value)


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, stored as whole microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Integer on SQLite."""
        return dialect.type_descriptor(Integer() if dialect.name == "sqlite" else BigInteger())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """To microseconds; a naive datetime is a mistake of ours."""
        return None if value is None else to_microseconds(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """To an aware UTC datetime."""
        return None if value is None else from_microseconds(value)


def to_microseconds(instant: datetime) -> int:
    """Whole microseconds since 1970 of an aware datetime."""
    if instant.tzinfo is None:
        raise ValueError("an instant needs an offset")
    return (instant - EPOCH) // _MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """The aware UTC datetime of whole microseconds since 1970."""
    return EPOCH + timedelta(microseconds=microseconds)
