"""Importing usage on both databases: pages, bad lines, memory, what stays when it breaks off."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.vocabulary import ProviderKind
from trunkline.errors import Problem, ProblemCode, RateLimited
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.services import Services
from trunkline.usage import importing
from trunkline.usage.event_lines import BadEventLine, decode_event
from trunkline.usage.exporting import EventsExport, ExportFormat, export_usage
from trunkline.usage.importing import ImportReport, import_lines, import_pages
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.line_splitting import LONGEST_LINE, LineSplitter
from trunkline.usage.recording import MOST_PAGE_EVENTS, PageRecorded, record_page


@pytest.fixture
async def services(services: Services) -> Services:
    """With two providers, one of them free."""
    await create_provider(
        services, NewProvider(slug="anthropic", name="Anthropic", kind=ProviderKind.ANTHROPIC)
    )
    await create_provider(
        services, NewProvider(slug="local", name="Local", kind=ProviderKind.OLLAMA)
    )
    return services


def line(key: str, **fields: Any) -> bytes:
    event = {
        "idempotencyKey": key,
        "providerSlug": "anthropic",
        "modelName": "claude-sonnet-4-5",
        "inputTokens": 1_000,
        **fields,
    }
    return json.dumps(event).encode() + b"\n"


async def in_pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def imported(services: Services, *pieces: bytes) -> ImportReport:
    return await import_lines(services, in_pieces(*pieces))


def reasons(report: ImportReport) -> dict[int, list[tuple[str, str | None]]]:
    return {
        bad.number: [
            (problem.code.value, ".".join(problem.field) if problem.field else None)
            for problem in bad.problems
        ]
        for bad in report.bad_lines
    }


async def test_good_lines_go_in_and_bad_ones_are_told_by_number_and_reason(
    services: Services,
) -> None:
    report = await imported(
        services,
        b"\xef\xbb\xbf" + line("a", occurredAt="2026-11-23T14:05:00.5+02:00", costUsd="0.25"),
        b"\n  \r\n",
        line("b", inputTokens=-1, latencyMs=-1),
        line("c", agent="support", latencyMs=5, succeeded=False).replace(b"\n", b"\r\n"),
        line("d", providerSlug="nobody"),
        b"not json\n",
        line("a", occurredAt="2026-11-23T14:05:00.5+02:00", costUsd="0.25"),
        line("a", inputTokens=5),
        line("gw:1"),
        line("e").rstrip(b"\n"),
    )
    assert (report.recorded, report.duplicates, report.refused) == (3, 1, 5)
    assert reasons(report) == {
        4: [("INVALID", "inputTokens"), ("INVALID", "latencyMs")],
        6: [("NOT_FOUND", "providerSlug")],
        7: [("INVALID", None)],
        9: [("KEY_REUSED", "idempotencyKey")],
        10: [("INVALID", "idempotencyKey")],
    }


async def test_an_import_sent_again_counts_nothing_twice(services: Services) -> None:
    text = b"".join(line(f"key-{number}", occurredAt="2026-11-01T00:00:00Z") for number in range(9))
    first = await imported(services, text)
    again = await imported(services, text)
    assert (first.recorded, first.duplicates) == (9, 0)
    assert (again.recorded, again.duplicates, again.refused) == (0, 9, 0)


async def test_an_import_costs_what_recording_would(services: Services) -> None:
    """Three dollars a million tokens of input, the published price of this model."""
    await imported(services, line("a"), line("b", providerSlug="local"), line("c", costUsd="7"))
    costs = {}
    async for part in export_usage(
        services.database, EventsExport(), ExportFormat.NDJSON, services.clock
    ):
        events = [json.loads(one) for one in part.body.splitlines()]
        costs.update({event["idempotencyKey"]: event["costUsd"] for event in events})
    assert costs == {"a": "0.003", "b": "0", "c": "7"}


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        (b"\xff\xfe", None, "not valid JSON"),
        (b'{"idempotencyKey":"\xff"}', None, "UTF-8"),
        (b'{"idempotencyKey":"a\x00"}', None, "not valid JSON"),
        (line("\ud800"), None, "surrogate"),
        (b"[" * 60_000, None, "one JSON object"),
        (b"[]", None, "one JSON object"),
        (b'"x"', None, "one JSON object"),
        (b'{"idempotencyKey":"a"}', "providerSlug", "missing"),
        (line("a", inputToken=5), "inputToken", "no field"),
        (line("a", inputTokens=1.0), "inputTokens", "int"),
        (line("a", inputTokens="5"), "inputTokens", "int"),
        (line("a", inputTokens=True), "inputTokens", "int"),
        (line("a", succeeded=None), "succeeded", "bool"),
        (line("a", costUsd=0.25), "costUsd", '"0.25"'),
        (line("a", costUsd="1e99999999"), "costUsd", "plain digits"),
        (line("a", costUsd="NaN"), "costUsd", "plain digits"),
        (line("a", occurredAt="2026-11-23"), "occurredAt", "offset"),
        (line("a", occurredAt="2026-11-23T14:05:00"), "occurredAt", "offset"),
        (line("a", occurredAt="2026-11-31T14:05:00Z"), "occurredAt", "no calendar"),
        (line("a", occurredAt="2026-11-23T14:05:00.1234567Z"), "occurredAt", "six"),
        (line("a", occurredAt="0001-01-01T00:00:00+14:00"), "occurredAt", "no calendar"),
        (line("a", occurredAt=5), "occurredAt", "str"),
    ],
)
def test_a_line_that_is_no_event_is_told_why(text: bytes, field: str | None, said: str) -> None:
    with pytest.raises(BadEventLine) as caught:
        decode_event(text)
    (problem,) = caught.value.problems
    assert problem.field == (None if field is None else (field,))
    assert said in problem.message


def test_what_a_line_says_reaches_no_terminal_as_it_is() -> None:
    with pytest.raises(BadEventLine) as caught:
        decode_event(b'{"\\u001b[31m' + b"x" * 5_000 + b'":1}')
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 200


async def test_checks_of_recording_hold_for_texts_of_any_kind(services: Services) -> None:
    report = await imported(
        services,
        line("a\0"),
        line("b", agent="x" * 201),
        line("c", modelName="  "),
        line("d", providerSlug="x\0"),
        line("e", providerSlug="x" * 10_000),
        line("f", inputTokens=10**100),
        line("g", occurredAt="1979-12-31T23:59:59Z"),
    )
    assert report.recorded == 0
    assert {number: found[0][1] for number, found in reasons(report).items()} == {
        1: "idempotencyKey",
        2: "agent",
        3: "modelName",
        4: "providerSlug",
        5: "providerSlug",
        6: "inputTokens",
        7: "occurredAt",
    }


class Kept:
    """Stands for the store: notes the pages that it gets, and refuses nothing."""

    def __init__(self) -> None:
        self.pages: list[list[str]] = []

    async def __call__(self, events: Sequence[NewUsageEvent]) -> PageRecorded:
        self.pages.append([event.idempotency_key for event in events])
        return PageRecorded(len(events), 0, {})


@given(
    st.lists(st.binary(max_size=12).filter(lambda one: b"\n" not in one), max_size=30),
    st.lists(st.integers(0, 40), max_size=30),
    st.booleans(),
)
def test_lines_are_the_same_however_the_stream_is_cut(
    lines: list[bytes], cuts: list[int], ended: bool
) -> None:
    text = b"\n".join(lines) + (b"\n" if ended else b"")
    splitter = LineSplitter(longest=8)
    found: list[bytes | None] = []
    rest = text
    for cut in cuts:
        found += splitter.feed(rest[:cut])
        rest = rest[cut:]
    found += splitter.feed(rest) + splitter.finish()
    expected = text.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if not expected[-1] and not (len(expected) == 1 and found):
        expected.pop()
    assert found == [one if len(one) <= 8 else None for one in expected]


async def test_a_line_that_is_too_long_is_told_and_passed_over_whole() -> None:
    kept = Kept()
    long = line("long", agent="x" * LONGEST_LINE)
    report = await import_pages(
        kept, in_pieces(line("a"), long[:10], long[10:-5], long[-5:], line("b"))
    )
    assert kept.pages == [["a", "b"]]
    assert [(bad.number, bad.problems[0].message) for bad in report.bad_lines] == [
        (2, "the line is longer than 64 KiB")
    ]


async def test_a_stream_without_a_line_end_takes_no_memory() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(2_000):
            yield b"x" * 65_536

    tracemalloc.start()
    try:
        report = await import_pages(Kept(), endless())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert report.refused == 1
    assert peak < 2**20


async def peak_of(path: Path, count: int, *, bad: bool) -> int:
    """The memory that an import of a file of so many lines takes at most, in bytes."""
    with path.open("wb") as file:
        for number in range(count):
            file.write(line(f"key-{number}", inputTokens=-1 if not bad else "x"))

    class Refusing(Kept):
        async def __call__(self, events: Sequence[NewUsageEvent]) -> PageRecorded:
            problem = Problem(ProblemCode.INVALID, ("inputTokens",), "x" * 50)
            return PageRecorded(0, 0, dict.fromkeys(range(len(events)), (problem,)))

    async def pieces() -> AsyncIterator[bytes]:
        with path.open("rb") as file:
            while piece := file.read(65_536):
                yield piece

    tracemalloc.start()
    try:
        report = await import_pages(Refusing(), pieces())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert report.refused == count
    assert len(report.bad_lines) == 1_000
    assert [one.number for one in report.bad_lines] == list(range(1, 1_001))
    assert report.bad_lines_left_out == count - 1_000
    return peak


@pytest.mark.slow
@pytest.mark.parametrize("bad", [False, True])
async def test_memory_stays_the_same_however_long_the_file(tmp_path: Path, bad: bool) -> None:
    """Every line is refused, by the decoder or by the checks: that must not pile up either."""
    short = await peak_of(tmp_path / "short", 3 * MOST_PAGE_EVENTS, bad=bad)
    long = await peak_of(tmp_path / "long", 9 * MOST_PAGE_EVENTS, bad=bad)
    assert long < short * 1.2


async def test_no_more_is_read_than_one_page_ahead_of_the_store() -> None:
    read = 0
    go_on = asyncio.Event()
    waiting = asyncio.Event()
    count = 4 * MOST_PAGE_EVENTS

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal read
        for number in range(count):
            read += 1
            yield line(f"key-{number}")

    class Slow(Kept):
        async def __call__(self, events: Sequence[NewUsageEvent]) -> PageRecorded:
            if not self.pages:
                waiting.set()
                await go_on.wait()
            return await super().__call__(events)

    importing_all = asyncio.create_task(import_pages(Slow(), pieces()))
    await waiting.wait()
    before = -1
    while read != before:  # Until it stands still: nothing here waits for a clock.
        before = read
        await asyncio.sleep(0)
    assert read == 2 * MOST_PAGE_EVENTS
    go_on.set()
    assert (await importing_all).recorded == count


async def test_a_page_is_bounded_by_bytes_too() -> None:
    kept = Kept()
    large = line("k", agent="x" * 60_000)
    await import_pages(kept, in_pieces(*[large] * 200))
    assert max(map(len, kept.pages)) * len(large) <= importing.MOST_PAGE_BYTES + len(large)
    assert sum(map(len, kept.pages)) == 200


async def test_a_full_store_is_waited_for() -> None:
    class Full(Kept):
        refusals = 3

        async def __call__(self, events: Sequence[NewUsageEvent]) -> PageRecorded:
            if self.refusals:
                self.refusals -= 1
                raise RateLimited("later", retry_after_seconds=0.001)
            return await super().__call__(events)

    report = await import_pages(Full(), in_pieces(line("a"), line("b")))
    assert (report.recorded, report.refused) == (2, 0)


async def test_a_stream_that_breaks_off_keeps_its_whole_pages_and_no_half_line(
    services: Services,
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"".join(line(f"key-{number}") for number in range(MOST_PAGE_EVENTS))
        yield line("cut")[:-40]
        raise ConnectionResetError

    report = ImportReport()
    with pytest.raises(ConnectionResetError):
        await import_lines(services, pieces(), report=report)
    assert (report.recorded, report.refused) == (MOST_PAGE_EVENTS, 0)


async def test_a_cancelled_import_reports_the_page_that_was_under_way(services: Services) -> None:
    """The transaction goes on without its caller, so what is said afterwards must count it."""
    under_way = asyncio.Event()

    async def record(events: Sequence[NewUsageEvent]) -> PageRecorded:
        under_way.set()
        return await record_page(services, events)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"".join(line(f"key-{number}") for number in range(MOST_PAGE_EVENTS))
        await asyncio.Event().wait()

    report = ImportReport()
    task = asyncio.create_task(import_pages(record, pieces(), report=report))
    await under_way.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert report.recorded == MOST_PAGE_EVENTS


async def test_a_store_that_fails_ends_the_import() -> None:
    class Failing(Kept):
        async def __call__(self, events: Sequence[NewUsageEvent]) -> PageRecorded:
            if self.pages:
                raise OSError("disk full")
            return await super().__call__(events)

    report = ImportReport()
    lines = b"".join(line(f"key-{number}") for number in range(3 * MOST_PAGE_EVENTS))
    with pytest.raises(OSError, match="disk full"):
        await import_pages(Failing(), in_pieces(lines), report=report)
    assert report.recorded == MOST_PAGE_EVENTS
