"""JSON answers: one shape for every failure, over every route."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

from resolvers.context import Unauthenticated

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"


def json_answer(
    content: Any,
    status: int = 200,
    *,
    media_type: str = JSON,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """`content` as JSON."""
    return Response(
        orjson.dumps(content),
        status,
        headers=headers,
        media_type=f"{media_type}; charset=utf-8",
    )


def failure(
    status: int,
    message: str,
    code: str = "BAD_USER_INPUT",
    *,
    media_type: str = JSON,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A failure in GraphQL's own shape: `{"errors": [{"message", "extensions": {"code"}}]}`."""
    content = {"errors": [{"message": message, "extensions": {"code": code}}]}
    return json_answer(content, status, media_type=media_type, headers=headers)


def unauthenticated(media_type: str = JSON) -> Response:
    """The answer to somebody who is not signed in."""
    return failure(
        401,
        str(Unauthenticated()),
        "UNAUTHENTICATED",
        media_type=media_type,
        headers={"www-authenticate": 'Bearer realm="trunkline"'},
    )
