"""`/export/usage` and `/import/usage`: usage as files, for whoever is signed in.

What they take and give is written down in `docs/export-and-import.md`.
"""

import asyncio
from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response

from db.vocabulary import AccessScope
from resolvers.context import OperationContext
from server.answers import Rejected, json_answer
from server.execution import MakeContext
from server.quotas import Quotas, take_operation
from server.requests import request_id_of
from server.sign_in import Gate, permit
from server.streamed_answer import StreamedAnswer, bodies, file_headers
from server.usage_parameters import export_asked
from trunkline.errors import BadRequest
from trunkline.usage.exporting import ExportFormat, export_usage
from trunkline.usage.importing import BadLine, ImportReport, import_lines

NDJSON = "application/x-ndjson"
MOST_IMPORTS = 4
"""At a time: they take turns at the store anyway, and each holds two pages."""
IDLE_SECONDS = 60.0
"""An import that sends nothing for so long gives its turn to others."""

_IMPORTABLE = frozenset({NDJSON, "application/ndjson", "application/jsonl", "application/json-l"})
_TYPES = {
    ExportFormat.NDJSON: f"{NDJSON}; charset=utf-8",
    ExportFormat.CSV: "text/csv; charset=utf-8; header=present",
}


class UsageRoutes:
    """The two routes, on the services of the requests' contexts."""

    def __init__(self, gate: Gate, make_context: MakeContext, quotas: Quotas) -> None:
        self._gate = gate
        self._quotas = quotas
        self._make_context = make_context
        self._importing = 0

    async def export(self, request: Request) -> Response | StreamedAnswer:
        """GET: what is wrong is told before the first byte."""
        services = (await self._context(request, AccessScope.READ)).services
        try:
            asked = export_asked(request.query_params.multi_items())
            parts = export_usage(services.database, asked.export, asked.file_format, services.clock)
            begun = await anext(parts, None)
        except BadRequest as error:
            raise Rejected(400, str(error)) from error
        headers = file_headers(_TYPES[asked.file_format], asked.file_name)
        return StreamedAnswer(bodies(begun, parts), headers)

    async def import_(self, request: Request) -> Response:
        """POST: lines go in while they come; the answer counts them."""
        context = await self._context(request, AccessScope.INGEST)
        _check_body(request)
        if self._importing >= MOST_IMPORTS:
            raise Rejected(
                429,
                f"{MOST_IMPORTS} imports are running: nothing of this one was taken, "
                "send it again when one has ended",
                headers={"Retry-After": "10"},
            )
        self._importing += 1
        try:
            report = await import_lines(
                context.services, patiently(request.stream()), access=context.access
            )
        except BadRequest as error:
            raise Rejected(415, str(error)) from error
        finally:
            self._importing -= 1
        return json_answer(_told(report))

    async def _context(self, request: Request, scope: AccessScope) -> OperationContext:
        viewer = await self._gate.admit(request)
        permit(viewer, scope)
        take_operation(self._quotas, viewer)
        context = self._make_context(viewer, request_id_of(request.scope))
        if not isinstance(context, OperationContext):
            raise TypeError("the front door's contexts are OperationContext")
        return context


async def patiently(
    pieces: AsyncGenerator[bytes, None], seconds: float = IDLE_SECONDS
) -> AsyncGenerator[bytes, None]:
    """The pieces, as long as each comes in time. Raises `Rejected` (408) otherwise."""
    while True:
        try:
            async with asyncio.timeout(seconds):
                piece = await anext(pieces, None)
        except TimeoutError as error:
            raise Rejected(
                408,
                f"nothing came for {seconds:g} s: what came before is recorded, "
                "send all of it again for the rest",
            ) from error
        if piece is None:
            return
        yield piece


def _check_body(request: Request) -> None:
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if media_type.strip().lower() not in _IMPORTABLE or charset not in {
        "",
        "charset=utf-8",
        "charset=utf8",
    }:
        raise Rejected(
            415,
            f"send lines of JSON in UTF-8 as `Content-Type: {NDJSON}`",
            headers={"Accept-Post": NDJSON},
        )
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Rejected(415, "send the lines as they are, not compressed")


def _told(report: ImportReport) -> dict[str, object]:
    return {
        "recorded": report.recorded,
        "duplicates": report.duplicates,
        "refused": report.refused,
        "badLines": [_bad_line(bad) for bad in report.bad_lines],
        "badLinesLeftOut": report.bad_lines_left_out,
    }


def _bad_line(bad: BadLine) -> dict[str, object]:
    return {
        "line": bad.number,
        "problems": [
            {"code": problem.code.value, "field": problem.field, "message": problem.message}
            for problem in bad.problems
        ],
    }
