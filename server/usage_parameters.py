"""What an export is asked for, by the same names in a query and as flags of the command line."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from db.vocabulary import UsageDimension, UsageGranularity, UsageMetric, UsagePeriod
from trunkline.changes import unstorable_character
from trunkline.errors import BadRequest
from trunkline.instants import BadInstant, parse_instant
from trunkline.usage.exporting import EventsExport, ExportFormat, SeriesExport, UsageNames
from trunkline.usage.windows import WindowRequest

T = TypeVar("T")
Choice = TypeVar("Choice", bound=StrEnum)

MOST_NAMES = 1_000
"""In one list, as in the API's filters."""

_LISTS = frozenset({"provider", "model", "agent", "chain"})
_COMMON = frozenset({"what", "format", "from", "to"}) | _LISTS
_SERIES_ONLY = frozenset({"dimension", "period", "timezone", "granularity", "topGroups", "rankBy"})


class _What(StrEnum):
    EVENTS = "events"
    SERIES = "series"


@dataclass(frozen=True, slots=True)
class ExportAsked:
    """An export and the format that it is wanted in."""

    export: EventsExport | SeriesExport
    file_format: ExportFormat

    @property
    def file_name(self) -> str:
        """Says what is in it."""
        what = "events" if isinstance(self.export, EventsExport) else "series"
        return f"usage-{what}.{self.file_format.value}"


def export_asked(given: Iterable[tuple[str, str]]) -> ExportAsked:
    """The export in these parameters. Raises `BadRequest`, naming the parameter that is wrong."""
    values: dict[str, list[str]] = {}
    for name, value in given:
        if name not in _COMMON | _SERIES_ONLY:
            raise BadRequest(
                f"there is no parameter {name[:64]!r}: {_listed(_COMMON)}, and for a "
                f"series {_listed(_SERIES_ONLY)}"
            )
        if name in values and name not in _LISTS:
            raise BadRequest(f"{name} is given twice")
        values.setdefault(name, []).append(value)
    single = {name: listed[0] for name, listed in values.items() if name not in _LISTS}
    what = _choice(_What, single, "what") or _What.EVENTS
    file_format = _choice(ExportFormat, single, "format") or ExportFormat.NDJSON
    names = _names(values)
    if what is _What.SERIES:
        return ExportAsked(_series(single, names), file_format)
    if foreign := _SERIES_ONLY & single.keys():
        raise BadRequest(f"{_listed(foreign)}: only a series takes it, so say `series` for what")
    start, end = _instant(single, "from"), _instant(single, "to")
    return ExportAsked(EventsExport(names=names, start=start, end=end), file_format)


def _series(single: Mapping[str, str], names: UsageNames) -> SeriesExport:
    dimension = _choice(UsageDimension, single, "dimension")
    if dimension is None:
        raise BadRequest(f"a series needs a dimension: {_listed(UsageDimension)}")
    if "timezone" not in single:
        raise BadRequest(
            "a series needs a timezone, which decides where days begin: "
            "an IANA name such as Europe/Berlin"
        )
    period = _choice(UsagePeriod, single, "period")
    if (period is None) != ("from" in single and "to" in single) or (
        period is not None and ("from" in single or "to" in single)
    ):
        raise BadRequest("a series needs either a period, or from and to")
    return SeriesExport(
        dimension=dimension,
        window=WindowRequest(
            timezone=single["timezone"],
            period=period,
            start=_instant(single, "from"),
            end=_instant(single, "to"),
            granularity=_choice(UsageGranularity, single, "granularity"),
        ),
        names=names,
        top_groups=_number(single, "topGroups", 10),
        rank_by=_choice(UsageMetric, single, "rankBy") or UsageMetric.COST,
    )


def _names(values: Mapping[str, list[str]]) -> UsageNames:
    def listed(name: str) -> tuple[str, ...] | None:
        found = values.get(name)
        if found is None:
            return None
        if len(found) > MOST_NAMES:
            raise BadRequest(f"{name} is taken at most {MOST_NAMES} times")
        for one in found:
            if unstorable := unstorable_character(one):
                raise BadRequest(f"{name}: no name holds {unstorable}")
        return tuple(sorted(set(found)))

    return UsageNames(
        provider_slugs=listed("provider"),
        model_names=listed("model"),
        agents=listed("agent"),
        chain_slugs=listed("chain"),
    )


def _choice(choices: type[Choice], single: Mapping[str, str], name: str) -> Choice | None:
    """By its value, in either case."""

    def chosen(text: str) -> Choice:
        for one in choices:
            if text.casefold() == one.value.casefold():
                return one
        raise BadRequest(f"{name} is one of {_listed(choices)}, not {text[:64]!r}")

    return _read(single, name, chosen)


def _instant(single: Mapping[str, str], name: str) -> datetime | None:
    def parsed(text: str) -> datetime:
        try:
            # Unescaped, the plus of an offset is a space in a query.
            return parse_instant(text.replace(" ", "+"))
        except BadInstant as error:
            raise BadRequest(f"{name}: {error}") from error

    return _read(single, name, parsed)


def _number(single: Mapping[str, str], name: str, default: int) -> int:
    def parsed(text: str) -> int:
        if not text.isascii() or not text.isdecimal() or len(text) > 9:
            raise BadRequest(f"{name} is a whole number, not {text[:64]!r}")
        return int(text)

    found = _read(single, name, parsed)
    return default if found is None else found


def _read(single: Mapping[str, str], name: str, parsed: Callable[[str], T]) -> T | None:
    return parsed(single[name]) if name in single else None


def _listed(names: Collection[str] | type[StrEnum]) -> str:
    return ", ".join(sorted(str(name) for name in names))
