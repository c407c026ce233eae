"""Usage on its way in: NDJSON, line by line, by the rules of recording.

Lines are gathered into pages, each recorded in a transaction of its own: while one is, the next is
read and decoded, and no more than that, so memory stays the same however long the stream. A bad
line is noted with its number and the reasons, and the others go in. What was recorded stays
recorded whatever comes after; keys make it harmless to send all of it again.
"""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from trunkline.access.allowed import FULL_ACCESS, Access
from trunkline.errors import BadRequest, Problem, ProblemCode, RateLimited
from trunkline.services import Services
from trunkline.usage.event_lines import BadEventLine, decode_event
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.line_splitting import LONGEST_LINE, LineSplitter
from trunkline.usage.recording import MOST_PAGE_EVENTS, PageRecorded, record_page

MOST_BAD_LINES = 1_000
"""That are told with their reasons; the others are counted."""
MOST_PAGE_BYTES = 4 * 2**20
_GZIP = b"\x1f\x8b"

RecordPage = Callable[[Sequence[NewUsageEvent]], Awaitable[PageRecorded]]

_TOO_LONG = Problem(
    ProblemCode.INVALID, None, f"the line is longer than {LONGEST_LINE // 1024} KiB"
)


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that was not recorded, by its number from 1, and why."""

    number: int
    problems: tuple[Problem, ...]


@dataclass(slots=True)
class ImportReport:
    """What became of the lines so far. Blank lines are none.

    `bad_lines` are the first of those `refused`, by number.
    """

    recorded: int = 0
    duplicates: int = 0
    refused: int = 0
    bad_lines: list[BadLine] = field(default_factory=list)

    @property
    def lines(self) -> int:
        """Of all kinds."""
        return self.recorded + self.duplicates + self.refused

    @property
    def bad_lines_left_out(self) -> int:
        """How many were refused beside those that `bad_lines` tells."""
        return self.refused - len(self.bad_lines)


@dataclass(slots=True)
class _Page:
    """Lines that go into one transaction, and those that don't even get there."""

    events: list[NewUsageEvent] = field(default_factory=list)
    # Of the events, in their order.
    numbers: list[int] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)
    size: int = 0

    @property
    def full(self) -> bool:
        count = len(self.events) + len(self.bad)
        return count >= MOST_PAGE_EVENTS or self.size >= MOST_PAGE_BYTES

    def take(self, number: int, line: bytes | None) -> None:
        if line is None:
            self.bad.append(BadLine(number, (_TOO_LONG,)))
            return
        try:
            event = decode_event(line)
        except BadEventLine as error:
            self.bad.append(BadLine(number, error.problems))
            return
        self.events.append(event)
        self.numbers.append(number)
        self.size += len(line)


async def import_lines(
    services: Services,
    pieces: AsyncIterable[bytes],
    *,
    access: Access = FULL_ACCESS,
    report: ImportReport | None = None,
    on_page: Callable[[], Awaitable[None]] | None = None,
) -> ImportReport:
    """Record the events in a stream of bytes, and say what became of each line; those of agents
    that `access` is not for are refused.

    `report` is kept up to date with what is recorded, also where this raises; `on_page` is called
    after each page. What `pieces` or the store raise ends it, once the page under way is in.
    Raises `BadRequest` where they begin as gzip does.
    """
    return await import_pages(
        partial(record_page, services, access=access), pieces, report, on_page
    )


async def import_pages(
    record: RecordPage,
    pieces: AsyncIterable[bytes],
    report: ImportReport | None = None,
    on_page: Callable[[], Awaitable[None]] | None = None,
) -> ImportReport:
    """The same, with the recording of a page given."""
    kept = report if report is not None else ImportReport()
    importing = _Importing(record, kept, on_page)
    try:
        splitter = LineSplitter()
        begun = False
        async for piece in pieces:
            if not begun and piece.startswith(_GZIP):
                raise BadRequest("this is gzip: send the lines as they are, as `zcat` writes them")
            begun = begun or bool(piece)
            await importing.take(splitter.feed(piece))
        await importing.take(splitter.finish())
        await importing.turn()
    finally:
        await importing.settle()
    return kept


class _Importing:
    """The page that is being filled, and the one before it on its way into the store."""

    def __init__(
        self,
        record: RecordPage,
        report: ImportReport,
        on_page: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self._record = record
        self._report = report
        self._on_page = on_page
        self._number = 0
        self._page = _Page()
        self._writing: asyncio.Task[None] | None = None

    async def take(self, lines: Sequence[bytes | None]) -> None:
        for line in lines:
            self._number += 1
            if line is None or line.strip():
                self._page.take(self._number, line)
                if self._page.full:
                    await self.turn()

    async def turn(self) -> None:
        """Send the page off, once the one before it is in."""
        page, self._page = self._page, _Page()
        await self.settle()
        self._writing = asyncio.create_task(self._write(page))

    async def settle(self) -> None:
        """Wait for the page under way, also where the caller is being cancelled."""
        if self._writing is not None:
            await asyncio.wait({self._writing})
            writing, self._writing = self._writing, None
            writing.result()

    async def _write(self, page: _Page) -> None:
        if page.events:
            done = await self._recorded(page.events)
            self._report.recorded += done.recorded
            self._report.duplicates += done.duplicates
            page.bad += [
                BadLine(page.numbers[place], problems) for place, problems in done.problems.items()
            ]
        self._report.refused += len(page.bad)
        page.bad.sort(key=lambda bad: bad.number)
        self._report.bad_lines += page.bad[: MOST_BAD_LINES - len(self._report.bad_lines)]
        if self._on_page is not None:
            await self._on_page()

    async def _recorded(self, events: Sequence[NewUsageEvent]) -> PageRecorded:
        while True:
            try:
                return await self._record(events)
            except RateLimited as limited:
                await asyncio.sleep(limited.retry_after_seconds)
