"""Global ids as the API writes them, for what tells of objects outside it, such as webhooks."""

import base64
import binascii
from binascii import b2a_base64
from functools import lru_cache


# Most are asked for again and again, and making one takes four times as long as finding it.
@lru_cache(maxsize=4_096)
def global_id(type_name: str, internal_id: int) -> str:
    """The opaque id of an object: URL-safe base64 of its type and number, without padding."""
    # The letters of a name, a colon and digits give none of the two signs that URLs don't take.
    return b2a_base64(f"{type_name}:{internal_id}".encode(), newline=False).rstrip(b"=").decode()


def parse_id(text: str) -> tuple[str, int] | None:
    """Type name and internal id in a global id, or None where it is none of ours."""
    if len(text) > 128:
        return None
    try:
        decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        return None
    type_name, _, digits = decoded.partition(":")
    if not digits.isdecimal() or len(digits) > 18:
        return None
    # One object has one id: what decodes alike but is spelled otherwise is refused.
    return (type_name, int(digits)) if global_id(type_name, int(digits)) == text else None
