"""What every answer tells browsers, unless a route says something else of the same name.

An answer of the API is no document: it may run nothing, load nothing, stand in no frame, and be
taken by no other site's page but by CORS. None is kept by caches: answers hold what only the one
who asked may see.
"""

from collections.abc import Iterable

Header = tuple[bytes, bytes]

_ALWAYS: tuple[Header, ...] = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


def secured(headers: Iterable[Header]) -> list[Header]:
    """These headers, and those of ours that they lack. Names are in lower case, as ASGI has it."""
    given = [*headers]
    names = {name for name, _ in given}
    given += [one for one in _ALWAYS if one[0] not in names]
    return given
