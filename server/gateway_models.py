"""`GET /v1/models`: what the gateway may be asked for, in OpenAI's shape or Anthropic's.

https://platform.openai.com/docs/api-reference/models and
https://platform.claude.com/docs/en/api/models-list
"""

from datetime import datetime
from urllib.parse import parse_qs

import orjson

from server.answers import Rejected
from trunkline.access.allowed import Access
from trunkline.gateway.listing import Listed, list_names
from trunkline.services import Services

_DEFAULT_PAGE = 20
_LARGEST_PAGE = 1_000


class GatewayModels:
    """Reads the database at each request: lists are asked for seldom."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def answer(self, name: str, query: bytes, access: Access, *, anthropic: bool) -> bytes:
        """The list of what this access may ask for, or the one of this name, which is decoded
        already. Raises `Rejected`.
        """
        listed = await list_names(self._services, access)
        entry = _anthropic_entry if anthropic else _openai_entry
        if name:
            for one in listed:
                if one.name == name:
                    return orjson.dumps(entry(one))
            raise Rejected(404, f"there is no model {name[:100]!r}: GET /v1/models lists them")
        if anthropic:
            return _anthropic_page(listed, query)
        return orjson.dumps({"object": "list", "data": [entry(one) for one in listed]})


def _openai_entry(one: Listed) -> dict[str, object]:
    return {
        "id": one.name,
        "object": "model",
        "created": int(one.created_at.timestamp()),
        "owned_by": one.owner,
    }


def _anthropic_entry(one: Listed) -> dict[str, object]:
    return {
        "type": "model",
        "id": one.name,
        "display_name": one.title,
        "created_at": _instant(one.created_at),
        # What is deprecated is not listed.
        "lifecycle": "active",
    }


def _anthropic_page(listed: list[Listed], query: bytes) -> bytes:
    """A page by `limit` and `after_id` or `before_id`. Raises `Rejected`."""
    asked = parse_qs(query.decode("ascii", "replace"))
    said = asked.get("limit", [str(_DEFAULT_PAGE)])[0]
    limit = int(said) if said.isascii() and said.isdecimal() and len(said) <= 4 else 0
    if not 1 <= limit <= _LARGEST_PAGE:
        raise Rejected(400, f"limit takes 1 to {_LARGEST_PAGE}")
    names = [one.name for one in listed]
    rest, more_before = listed, False
    if "after_id" in asked:
        rest = listed[_place(names, asked["after_id"][0]) + 1 :]
    elif "before_id" in asked:
        rest = listed[: _place(names, asked["before_id"][0])]
        more_before = len(rest) > limit
        rest = rest[-limit:]
    page = rest[:limit]
    return orjson.dumps(
        {
            "data": [_anthropic_entry(one) for one in page],
            "has_more": more_before or len(rest) > limit,
            "first_id": page[0].name if page else None,
            "last_id": page[-1].name if page else None,
        }
    )


def _place(names: list[str], name: str) -> int:
    if name not in names:
        raise Rejected(400, "after_id and before_id take the id of a model in the list")
    return names.index(name)


def _instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
