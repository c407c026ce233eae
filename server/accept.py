"""Which answer a client takes, by its Accept header (RFC 9110, section 12.5.1)."""

from server.answers import GRAPHQL_JSON, JSON

EVENT_STREAM = "text/event-stream"
_OFFERED = (JSON, GRAPHQL_JSON, EVENT_STREAM)


def chosen_media_type(accept: str | None) -> str | None:
    """The media type to answer with; None where the client takes none that we have.

    Without a header, or with `*/*`, JSON. Of equal weights, the one that is named more exactly,
    then the one that is named first.
    """
    if accept is None or not accept.strip():
        return JSON
    best: tuple[float, int, int] | None = None
    chosen = None
    for place, part in enumerate(accept.split(",")[:50]):
        wanted, *parameters = (one.strip().lower() for one in part.split(";"))
        weight = _weight(parameters)
        offered = _offered(wanted)
        if offered is None or weight == 0:
            continue
        score = (weight, -wanted.count("*"), -place)
        if best is None or score > best:
            best, chosen = score, offered
    return chosen


def _offered(wanted: str) -> str | None:
    if wanted in _OFFERED:
        return wanted
    return JSON if wanted in {"*/*", "application/*"} else None


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0
