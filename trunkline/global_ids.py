"""Global ids as the API writes them, for what tells of objects outside it, such as webhooks."""

from binascii import b2a_base64


def global_id(type_name: str, internal_id: int) -> str:
    """The opaque id of an object: URL-safe base64 of its type and number, without padding."""
    # The letters of a name, a colon and digits give none of the two signs that URLs don't take.
    return b2a_base64(f"{type_name}:{internal_id}".encode(), newline=False).rstrip(b"=").decode()
