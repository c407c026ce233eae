"""JSON to and from providers, at its edges."""

import orjson
import pytest
from hypothesis import given

from tests.trunkline.gateway.dialects.reading import ANY_JSON, UNTIMED
from trunkline.gateway.conversation import ToolCall
from trunkline.gateway.protocols import CannotSay, UnreadableAnswer
from trunkline.gateway.provider_json import (
    new_call_id,
    read_arguments,
    read_object,
    token_count,
    write_arguments,
    write_body,
)


def nested(levels: int) -> dict[str, object]:
    value: dict[str, object] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize("value", ["\ud800", 2**64, nested(300)])
def test_what_json_cannot_carry_is_refused(value: object) -> None:
    with pytest.raises(CannotSay, match="surrogate pair"):
        write_body({"value": value})


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b'{"a":', b"\xff", b"[" * 2_000])
def test_body_that_is_no_object_is_unreadable_and_not_quoted(body: bytes) -> None:
    with pytest.raises(UnreadableAnswer) as unreadable:
        read_object(body)
    assert unreadable.value.__cause__ is None


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (0, 0),
        (10**9, 10**9),
        (10**9 + 1, None),
        (-1, None),
        (True, None),
        (1.0, None),
        (None, None),
    ],
)
def test_token_count(value: object, count: int | None) -> None:
    assert token_count(value) == count


@UNTIMED
@given(ANY_JSON)
def test_arguments_are_written_and_read_back(value: object) -> None:
    text = write_arguments(value)
    if not isinstance(value, dict):
        assert text == ("{}" if value is None else None)
        return
    assert text is not None
    assert read_arguments(ToolCall("c", "now", text)) == orjson.loads(orjson.dumps(value))


def test_arguments_deeper_than_can_be_written_are_none() -> None:
    assert write_arguments(nested(300)) is None


def test_made_up_ids_differ() -> None:
    assert len({new_call_id() for _ in range(100)}) == 100
