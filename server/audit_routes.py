"""`/export/audit`: the audit log as NDJSON, for who may do everything. See `docs/audit.md`."""

from starlette.requests import Request

from db.vocabulary import AccessScope
from resolvers.context import OperationContext
from server.answers import Rejected
from server.audit_parameters import audit_asked
from server.execution import MakeContext
from server.quotas import Quotas, take_operation
from server.requests import request_id_of
from server.sign_in import Gate, permit
from server.streamed_answer import StreamedAnswer, bodies, file_headers
from trunkline.audit.exporting import export_audit
from trunkline.errors import BadRequest


class AuditRoutes:
    """The route, on the services of the requests' contexts."""

    def __init__(self, gate: Gate, make_context: MakeContext, quotas: Quotas) -> None:
        self._gate = gate
        self._quotas = quotas
        self._make_context = make_context

    async def export(self, request: Request) -> StreamedAnswer:
        """GET: what is wrong is told before the first byte."""
        viewer = await self._gate.admit(request)
        permit(viewer, AccessScope.ADMIN)
        take_operation(self._quotas, viewer)
        context: OperationContext = self._make_context(viewer, request_id_of(request.scope))
        try:
            asked = audit_asked(request.query_params.multi_items())
        except BadRequest as error:
            raise Rejected(400, str(error)) from error
        database = context.services.database
        parts = export_audit(database, asked.condition, after_id=asked.after_id)
        # Where the store can't be read, that is said by a status too.
        begun = await anext(parts, None)
        headers = file_headers("application/x-ndjson; charset=utf-8", "audit-log.ndjson")
        return StreamedAnswer(bodies(begun, parts), headers)
