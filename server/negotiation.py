"""Which media type a caller of /graphql gets: the `Accept` header, read by RFC 9110 §12.5.1.

The highest weight wins, then the order in the header. A caller who takes anything, or says
nothing, gets `application/json`, which is what such clients have always been given.
"""

from dataclasses import dataclass

from server.answers import EVENT_STREAM, GRAPHQL_RESPONSE, JSON

_OFFERS = (JSON, GRAPHQL_RESPONSE, EVENT_STREAM)


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a caller takes.

    `whole` is the media type for an answer in one piece, None where none of ours will do. `stream`
    says that it takes an event stream, `prefers_stream` that it would rather have one.
    """

    whole: str | None
    stream: bool
    prefers_stream: bool


@dataclass(frozen=True, slots=True)
class _Range:
    """One entry of the header."""

    media_range: str
    weight: float
    position: int

    def specificity(self, offer: str) -> int:
        """How closely the entry names the offer; 0 where it doesn't."""
        if self.media_range == offer:
            return 3
        if self.media_range == f"{offer.partition('/')[0]}/*":
            return 2
        return 1 if self.media_range == "*/*" else 0


def accepted(header: str | None) -> Accepted:
    """Read an `Accept` header; entries that make no sense are passed over."""
    if header is None or not header.strip():
        return Accepted(whole=JSON, stream=False, prefers_stream=False)
    ranges = [
        found
        for position, entry in enumerate(header.split(","))
        if (found := _range(entry, position)) is not None
    ]
    ranked: list[tuple[float, int, int, str]] = []
    for preference, offer in enumerate(_OFFERS):
        closest = _closest(ranges, offer)
        if closest is None or closest.weight == 0:
            continue
        # Who takes just anything is not asking for a stream.
        if offer != EVENT_STREAM or closest.media_range == EVENT_STREAM:
            ranked.append((-closest.weight, closest.position, preference, offer))
    order = [offer for *_, offer in sorted(ranked)]
    whole = next((offer for offer in order if offer != EVENT_STREAM), None)
    return Accepted(
        whole=whole,
        stream=EVENT_STREAM in order,
        prefers_stream=bool(order) and order[0] == EVENT_STREAM,
    )


def _closest(ranges: list[_Range], offer: str) -> _Range | None:
    matches = [(one.specificity(offer), -one.position, one) for one in ranges]
    _, _, closest = max(matches, key=lambda match: match[:2], default=(0, 0, None))
    return closest if closest is not None and closest.specificity(offer) else None


def _range(entry: str, position: int) -> _Range | None:
    media_range, *parameters = (part.strip().lower() for part in entry.split(";"))
    weight = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        value = value.strip().strip('"')
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                return None
            if not 0 <= weight <= 1:
                return None
        elif name.strip() == "charset" and value not in {"utf-8", "utf8"}:
            return None
    return _Range(media_range, weight, position) if "/" in media_range else None
