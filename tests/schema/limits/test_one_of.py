"""Variables in inputs that take exactly one of their fields."""

import pytest

from schema.limits.known_document import KnownDocument
from schema.root import schema

FIELD = """usageSeries(input: { window: { period: $period }, dimension: MODEL, timezone: "UTC" }) {
  asOf }"""
FRAGMENT = f"fragment F on Query {{ {FIELD} }}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"query ($period: UsagePeriod!) {{ {FIELD} }}", []),
        (f"{FRAGMENT} query ($period: UsagePeriod!) {{ ...F }}", []),
        (f"{{ {FIELD} }}", ["Variable '$period' is not defined."]),
        (f"{FRAGMENT} {{ ...F }}", ["Variable '$period' is not defined."]),
        (
            f"query ($period: UsagePeriod = TODAY) {{ {FIELD} }}",
            [("Variable '$period' must be non-nullable to be used in 'UsageWindow', "
             "which takes exactly one of its fields.")],
        ),
        (
            f"{FRAGMENT} query ($period: UsagePeriod) {{ ...F }}",
            [("Variable '$period' must be non-nullable to be used in 'UsageWindow', "
             "which takes exactly one of its fields.")],
        ),
        (
            f"query {{ {FIELD.replace('period: $period', '')} }}",
            [("Within OneOf Input Object type 'UsageWindow', exactly one field must be specified, "
             "and the value for that field must be non-null.")],
        ),
    ],
)  # fmt: skip
def test_exactly_one_is_given(text: str, said: list[str]) -> None:
    errors = KnownDocument(text).errors(schema._schema, introspection=True)
    assert [error.message.splitlines()[0] for error in errors] == said
