"""JSON that somebody sent: any value may stand anywhere. Readers that never raise."""

Json = dict[str, object]


def json_object(value: object) -> Json:
    """The value, or an empty object where it is none."""
    return value if isinstance(value, dict) else {}


def json_objects(value: object) -> list[Json]:
    """The objects in a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def json_text(value: object) -> str:
    """The value, or an empty text where it is none."""
    return value if isinstance(value, str) else ""


def json_count(value: object) -> int | None:
    """A whole number from 0, or None."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return value
