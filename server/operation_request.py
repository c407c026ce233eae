"""A GraphQL request as it comes in: over POST, GET or a socket, always the same parameters.

Nothing here looks into the document; see `documents.py` for that.
"""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.requests import Request

from server.answers import JSON, Rejected

LARGEST_BODY = 2**20
"""Bytes. `recordUsage` with a thousand events takes a third of it."""
BODY_SECONDS = 30.0
"""For all of a body to come in."""
LONGEST_DOCUMENT_ID = 300


class Malformed(ValueError):
    """The parameters are not those of a GraphQL request; the message says which and why."""


@dataclass(frozen=True, slots=True)
class OperationRequest:
    """What to execute. `variables` may hold secrets, so they are kept out of the repr.

    `query` is empty where a document is asked for by its id alone (`persisted_operations.py`).
    """

    query: str = field(repr=False)
    variables: dict[str, Any] | None = field(repr=False)
    operation_name: str | None
    extensions: dict[str, Any] | None = field(repr=False)
    document_id: str | None = None


async def read_request(request: Request) -> OperationRequest:
    """The request in an HTTP request. Raises `Rejected` with the right status."""
    try:
        if request.method == "POST":
            require_json(request.headers.get("content-type"))
            return operation_request(parsed_json(await read_body(request), "the body"))
        return _from_query(request.query_params.multi_items())
    except Malformed as error:
        raise Rejected(400, str(error)) from error


async def read_body(request: Request, seconds: float = BODY_SECONDS) -> bytes:
    """The whole body. Raises `Rejected`: 413 as soon as it is known to be too large, 408 where it
    doesn't come in time.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > LARGEST_BODY:
        raise _too_large()
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > LARGEST_BODY:
                    raise _too_large()
                parts.append(part)
    except TimeoutError as error:
        raise Rejected(
            408,
            f"the body did not come within {seconds:g} s: send it again",
            headers={"Connection": "close"},
        ) from error
    return b"".join(parts)


def parsed_json(text: bytes | str, what: str) -> Any:
    """JSON, strictly: UTF-8, no NaN, no nesting past a thousand. Raises `Malformed`."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if not text:
            raise Malformed(f'{what} is empty: send JSON like {{"query": "…"}}') from error
        raise Malformed(f"{what} is not valid JSON: {error.msg}") from error


def operation_request(parameters: object) -> OperationRequest:
    """The request in decoded JSON; properties we don't know are passed over. Raises `Malformed`."""
    if isinstance(parameters, list):
        raise Malformed("batches are not taken: send each operation in a request of its own")
    if not isinstance(parameters, dict):
        raise Malformed('a GraphQL request is a JSON object like {"query": "…"}')
    extensions = _map(parameters, "extensions")
    document_id = _document_id(parameters, extensions)
    query = parameters.get("query")
    if query is None and document_id is not None:
        query = ""
    if query is None:
        raise Malformed(
            "`query` is missing: it holds the GraphQL document; "
            "one that the server knows can be named by `documentId` instead"
        )
    if not isinstance(query, str):
        raise Malformed("`query` must be a string that holds the GraphQL document")
    operation_name = parameters.get("operationName")
    if operation_name is not None and not isinstance(operation_name, str):
        raise Malformed("`operationName` must be a string or null")
    return OperationRequest(
        # One text for the thousand subscribers that send the same.
        query=sys.intern(query),
        variables=_map(parameters, "variables"),
        operation_name=operation_name or None,
        extensions=extensions,
        document_id=document_id,
    )


def require_json(content_type: str | None) -> None:
    """Raises `Rejected` (415) for a body that isn't JSON in UTF-8."""
    media_type, *parameters = (part.strip().lower() for part in (content_type or "").split(";"))
    if media_type != JSON:
        raise Rejected(
            415, f"send the request as `Content-Type: {JSON}`", headers={"Accept-Post": JSON}
        )
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in {"utf-8", "utf8"}:
            raise Rejected(415, "send the request in UTF-8", headers={"Accept-Post": JSON})


def _map(parameters: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    value = parameters.get(name)
    if value is None or isinstance(value, dict):
        return value
    raise Malformed(f"`{name}` must be a JSON object or null")


def _document_id(parameters: Mapping[str, Any], extensions: Mapping[str, Any] | None) -> str | None:
    """The id of a persisted document, in either of its two forms."""
    document_id = parameters.get("documentId")
    persisted = (extensions or {}).get("persistedQuery")
    if document_id is None and persisted is not None:
        if not isinstance(persisted, dict) or persisted.get("version") != 1:
            raise Malformed(
                '`extensions.persistedQuery` must be {"version": 1, "sha256Hash": "…"}: '
                "no other version is known"
            )
        document_id = persisted.get("sha256Hash", "")
    if document_id is None:
        return None
    if not isinstance(document_id, str) or not 0 < len(document_id) <= LONGEST_DOCUMENT_ID:
        raise Malformed(
            f"a document's id must be a string of 1 to {LONGEST_DOCUMENT_ID} characters"
        )
    return document_id


def _from_query(items: list[tuple[str, str]]) -> OperationRequest:
    parameters: dict[str, Any] = {}
    for name, value in items:
        if name in {"query", "documentId", "operationName", "variables", "extensions"}:
            if name in parameters:
                raise Malformed(f"`{name}` is given twice")
            parameters[name] = value
    for name in ("variables", "extensions"):
        text = parameters.pop(name, "")
        if text:
            parameters[name] = parsed_json(text, f"`{name}`")
    return operation_request(parameters)


def _too_large() -> Rejected:
    return Rejected(
        413,
        f"the body is larger than {LARGEST_BODY // 2**10} KiB: send less, or in several requests",
    )
