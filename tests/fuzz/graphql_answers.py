"""What an answer to a GraphQL operation may look like, whatever was asked."""

from typing import Any

import orjson

from tests.fuzz.cases import Finding

OK, SERVER_ERROR, UNAVAILABLE = 200, 500, 503


def check_status(status: int, headers: dict[str, str], body: bytes) -> None:
    """Raise `Finding` for a fault of the server's."""
    if status >= SERVER_ERROR and not (status == UNAVAILABLE and "retry-after" in headers):
        raise Finding(f"status {status}: {body[:500]!r}")


def check_body(body: bytes) -> Any:
    """The response in it. Raises `Finding` where it is none."""
    try:
        response = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Finding(f"the body is no JSON: {body[:500]!r}") from error
    check_response(response)
    return response


def check_response(response: Any) -> None:
    """Raise `Finding` where it is no GraphQL response, or tells of a fault."""
    if not isinstance(response, dict) or not response.keys() & {"data", "errors"}:
        raise Finding(f"no GraphQL response: {response!r:.500}")
    check_errors(response.get("errors", [None]), given="errors" in response)


def check_errors(errors: Any, *, given: bool = True) -> None:
    """Raise `Finding` where these are no errors, or one of them is ours."""
    if not given:
        return
    if not isinstance(errors, list) or not errors:
        raise Finding(f"no list of errors: {errors!r:.500}")
    for error in errors:
        code = error.get("extensions", {}).get("code")
        if not isinstance(error.get("message"), str) or not isinstance(code, str):
            raise Finding(f"an error without message or code: {error!r:.500}")
        if code == "INTERNAL":
            raise Finding(f"an internal error: {error!r:.500}")
