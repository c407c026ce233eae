"""The audit log's rows: in the order of commits, paged while it grows, narrowed."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from db.audit_log import (
    AuditActorRow,
    AuditCondition,
    NewAuditEntry,
    audit_entries_after,
    insert_audit_entries,
    load_audit_entries,
    page_audit_entries,
)
from db.engine import Connection, Database
from db.paging import BadCursor, PageRequest
from db.vocabulary import AuditActorKind, AuditObjectKind

BEGUN = datetime(2026, 11, 1, tzinfo=UTC)
ADA = AuditActorRow(kind=AuditActorKind.ADMIN, name="Ada")
ROBOT = AuditActorRow(kind=AuditActorKind.ACCESS_TOKEN, name="robot", token_id=7, in_session=True)


def entry(number: int) -> NewAuditEntry:
    """Of a provider, each third of model 3, each fifth by the robot."""
    of_model = number % 3 == 0
    return NewAuditEntry(
        at=BEGUN + timedelta(seconds=number),
        actor=ROBOT if number % 5 == 0 else ADA,
        request_id=f"request-{number}",
        action="updateModel" if of_model else "updateProvider",
        object_kind=AuditObjectKind.MODEL if of_model else AuditObjectKind.PROVIDER,
        object_id=3,
        object_label=f"number {number}",
        before={"name": "ä", "enabled": None},
        after={"name": "b", "steps": [{"maxRetries": number}]},
    )


async def add(database: Database, *numbers: int) -> None:
    async def insert(connection: Connection) -> None:
        await insert_audit_entries(connection, [entry(number) for number in numbers])

    await database.transact(insert)


async def every_page(
    database: Database, first: int, condition: AuditCondition, *, grow: bool = False
) -> list[int]:
    """The ids on every page, newest first; where it grows, entries are added between pages."""
    found: list[int] = []
    after: str | None = None
    while True:
        async with database.read() as connection:
            page = await page_audit_entries(connection, PageRequest(first, after), condition)
        found += [one.id for one in page.nodes]
        if not page.has_next_page:
            return found
        after = page.end_cursor
        if grow:
            await add(database, 15, 16, 17)


async def test_an_entry_comes_back_as_it_went_in(database: Database) -> None:
    await add(database, 15)
    async with database.read() as connection:
        (found,) = (await load_audit_entries(connection, [1])).values()
    put = entry(15)
    assert {name: getattr(found, name) for name in put.__dataclass_fields__} == {
        name: getattr(put, name) for name in put.__dataclass_fields__
    }
    assert [(one.field, one.before, one.after) for one in found.changes] == [
        ("name", '"ä"', '"b"'),
        ("enabled", "null", None),
        ("steps", None, '[{"maxRetries":15}]'),
    ]


async def test_ten_thousand_entries_are_paged_without_gaps_while_new_ones_come(
    database: Database,
) -> None:
    await add(database, *range(10_000))
    everything = list(range(10_000, 0, -1))
    assert await every_page(database, 500, AuditCondition(), grow=True) == everything
    of_model = AuditCondition(object_kinds=(AuditObjectKind.MODEL,), end=BEGUN + timedelta(days=1))
    async with database.read() as connection:
        grown = (await page_audit_entries(connection, PageRequest(0, None, True))).total_count
    assert grown == 10_000 + 19 * 3
    # Of those that came later the first of each three is of the model, as of the others.
    added = range(10_001, grown + 1, 3)
    matching = [*reversed(added), *reversed(range(1, 10_001, 3))]
    assert await every_page(database, 999, of_model) == matching


async def test_filters_narrow_each_other(database: Database) -> None:
    await add(database, *range(1, 31))

    async def matching(condition: AuditCondition) -> list[int]:
        return sorted(await every_page(database, 4, condition))

    numbers = range(1, 31)
    kinds = (AuditObjectKind.MODEL, AuditObjectKind.PROVIDER)
    every: list[tuple[AuditCondition, list[int]]] = [
        (AuditCondition(), [*numbers]),
        (AuditCondition(object_kinds=kinds[:1]), [one for one in numbers if one % 3 == 0]),
        (AuditCondition(objects=((kinds[1], 3),)), [one for one in numbers if one % 3]),
        (AuditCondition(objects=((kinds[0], 3), (kinds[1], 3))), [*numbers]),
        (AuditCondition(objects=((kinds[0], 4),)), []),
        (AuditCondition(objects=()), []),
        (AuditCondition(actor_kinds=(AuditActorKind.ACCESS_TOKEN,)), [*range(5, 31, 5)]),
        (AuditCondition(actor_names=("robot",), actions=("updateModel",)), [15, 30]),
        (AuditCondition(token_ids=(7, 8)), [*range(5, 31, 5)]),
        (AuditCondition(token_ids=(8,)), []),
        (
            AuditCondition(begin=BEGUN + timedelta(seconds=3), end=BEGUN + timedelta(seconds=6)),
            [3, 4, 5],
        ),
    ]
    for condition, expected in every:
        assert await matching(condition) == expected, condition
        async with database.read() as connection:
            page = await page_audit_entries(connection, PageRequest(0, None, True), condition)
            onward = await audit_entries_after(connection, 0, condition, most=50, up_to_id=99)
        assert page.total_count == len(expected)
        assert [one.id for one in onward] == expected


async def test_ids_are_in_the_order_of_commits(database: Database) -> None:
    """Whoever follows the log by its ids would miss an entry that commits after a later one."""
    committed: list[str] = []
    inserted = asyncio.Event()
    other = Database.open(database._writer.url.render_as_string(hide_password=False))

    async def slow(connection: Connection) -> None:
        await insert_audit_entries(connection, [entry(1)])
        inserted.set()
        # Long enough for the other to be first, if anything let it.
        await asyncio.wait([asyncio.ensure_future(first_done.wait())], timeout=0.3)

    async def quick() -> None:
        await inserted.wait()
        await add(other, 2)
        committed.append("quick")
        first_done.set()

    async def hold() -> None:
        await database.transact(slow)
        committed.append("slow")

    first_done = asyncio.Event()
    await asyncio.gather(hold(), quick())
    await other.close()
    assert committed == ["slow", "quick"]
    async with database.read() as connection:
        found = await audit_entries_after(connection, 0, most=9, up_to_id=9)
    assert [(one.id, one.object_label) for one in found] == [(1, "number 1"), (2, "number 2")]


@pytest.mark.parametrize("cursor", ["", "x", "WyJwcm92aWRlcnMiLDFd"])
async def test_a_cursor_of_another_list_is_refused(sqlite_database: Database, cursor: str) -> None:
    async with sqlite_database.read() as connection:
        with pytest.raises(BadCursor):
            await page_audit_entries(connection, PageRequest(1, cursor))
