"""Global ids as the API writes them, for what tells of objects outside it, such as webhooks."""

import base64


def global_id(type_name: str, internal_id: int) -> str:
    """The opaque id of an object: URL-safe base64 of its type and number, without padding."""
    return base64.urlsafe_b64encode(f"{type_name}:{internal_id}".encode()).decode().rstrip("=")
