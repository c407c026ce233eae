"""A GraphQL request as it comes, checked before the schema sees it: any bytes at all may come."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request

LARGEST_BODY = 2**20


class BadDocument(Exception):
    """A request that is none; `status` and the message say why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Document:
    """What is to be executed."""

    query: str
    variables: dict[str, Any] | None
    operation_name: str | None


async def read_post(request: Request) -> Document:
    """The document in a body. Raises `BadDocument`."""
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    if media_type.strip().lower() != "application/json":
        raise BadDocument(415, "send the request as JSON, with `Content-Type: application/json`")
    charset = parameters.lower().partition("charset=")[2].strip(' "')
    if charset not in {"", "utf-8", "utf8"}:
        raise BadDocument(415, "send the request in UTF-8")
    return parse(await read_body(request))


async def read_body(request: Request) -> bytes:
    """The body, up to its bound. Raises `BadDocument`."""
    too_large = BadDocument(413, f"the body is larger than {LARGEST_BODY // 1024} KiB: split it")
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > LARGEST_BODY:
        raise too_large
    parts = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST_BODY:
            raise too_large
        parts.append(part)
    return b"".join(parts)


def read_get(request: Request) -> Document:
    """The document in a URL's query. Raises `BadDocument`."""
    parameters = request.query_params
    fields: dict[str, Any] = dict(parameters)
    for name in ("variables", "extensions"):
        text = parameters.get(name)
        if text is not None:
            try:
                fields[name] = orjson.loads(text) if text else None
            except orjson.JSONDecodeError:
                raise BadDocument(400, f"{name} is not valid JSON") from None
    if not fields.get("operationName"):
        fields.pop("operationName", None)
    return checked(fields)


def parse(body: bytes | str) -> Document:
    """The document in JSON. Raises `BadDocument`."""
    try:
        return checked(orjson.loads(body))
    except orjson.JSONDecodeError:
        raise BadDocument(400, "the body is not valid JSON") from None


def checked(fields: object) -> Document:
    """The document of decoded JSON. Raises `BadDocument`."""
    if isinstance(fields, list):
        raise BadDocument(400, "batches are not supported: send one operation a request")
    if not isinstance(fields, Mapping):
        raise BadDocument(400, 'send a JSON object such as {"query": "{ __typename }"}')
    query = fields.get("query")
    if not isinstance(query, str) or not query.strip():
        raise BadDocument(400, "query is missing: give the operation's text in it")
    variables = fields.get("variables")
    if variables is not None and not isinstance(variables, dict):
        raise BadDocument(400, "variables must be an object, or null")
    extensions = fields.get("extensions")
    if extensions is not None and not isinstance(extensions, dict):
        raise BadDocument(400, "extensions must be an object, or null")
    operation_name = fields.get("operationName")
    if operation_name is not None and not isinstance(operation_name, str):
        raise BadDocument(400, "operationName must be a string, or null")
    return Document(query, variables, operation_name)
