"""One request to the gateway, from what was asked to its row in the ledger.

It tries the steps of a chain, passes the answer on, and accounts for every attempt that was sent,
however it ends: with an answer, without, cut off, or left by its caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeAlias, TypeVar

from db.gateway_requests import NewGatewayRequest
from db.vocabulary import GatewayEndpoint, GatewayOutcome
from trunkline.access.allowed import FULL_ACCESS, Access
from trunkline.failover.attempts import (
    AttemptFailed,
    AttemptRecord,
    ResolvedStep,
    Skipped,
    StepSkipped,
)
from trunkline.failover.classes import AttemptFailure, FailureClass
from trunkline.failover.failed_answers import failed_answer, failed_request
from trunkline.failover.outcomes import AnswerCut, RequestRefused, RunFailed
from trunkline.failover.running import REQUEST_SECONDS, ChainRun
from trunkline.gateway.budgets import step_blocked
from trunkline.gateway.configuration import GatewayModel, Runnable
from trunkline.gateway.ledger import EndedRequest
from trunkline.gateway.protocols import (
    BadRequestBody,
    CannotSay,
    Headers,
    ProviderCall,
    StreamFailed,
    UnreadableAnswer,
)
from trunkline.gateway.tries import Try, attempt_row
from trunkline.gateway.wires import Wire
from trunkline.providers.adapter import SecretHeaders
from trunkline.providers.outgoing_errors import OutgoingError
from trunkline.services import Services

T = TypeVar("T")

Ended: TypeAlias = tuple[GatewayOutcome, int]
"""How a request ended, and with which status."""

_NONE: Headers = {}
CLIENT_GONE = 499
"""The status of a request whose caller left, as nginx has it."""
STOPPED = 503
"""The status of one that the server's end cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks: under which id, for whom, how long they wait (600 s at most), and what they may."""

    request_id: str
    agent: str = ""
    seconds: float = REQUEST_SECONDS
    headers: Headers = field(default_factory=dict)
    """That pass where the body does."""
    access: Access = FULL_ACCESS


class Exchange(Generic[T]):
    """Take its `answer`, once. What happened is in the ledger then."""

    def __init__(
        self,
        services: Services,
        wire: Wire[T],
        runnable: Runnable,
        caller: Caller,
        endpoint: GatewayEndpoint,
        *,
        began: float,
    ) -> None:
        """`began` is when the request came, by the clock of the gateway's means."""
        self.caller = caller
        self.dropped: tuple[str, ...] = ()
        """Parameters that the model which answers doesn't take, and that were left out."""
        self.refused: CannotSay | BadRequestBody | None = None
        """Why the last model that could not do it can't."""
        self.row: NewGatewayRequest | None = None
        """What is stored of it, once it has ended; what its attempts cost is not known yet."""
        self._services = services
        self._wire = wire
        self._runnable = runnable
        self._endpoint = endpoint
        self._streamed = False
        self._means = services.gateway.means
        self._trace = services.traces.begin() if services.traces is not None else None
        self._began = began
        self._started_at: datetime = services.clock()
        self._run = ChainRun(runnable.steps, self._means, seconds=caller.seconds)
        # One for each attempt that was sent, in order.
        self._tries: list[Try] = []
        self._first_token_ms: int | None = None
        self._overhead_ms = 0.0

    @property
    def attempts(self) -> list[AttemptRecord]:
        """What was tried so far."""
        return self._run.attempts

    @property
    def attempts_sent(self) -> int:
        """How many requests went to providers so far."""
        return len(self._tries)

    @property
    def model(self) -> str:
        """The label of the model that answers, or was tried last; empty where none was."""
        return self._tries[-1].model.label if self._tries else ""

    @property
    def overhead_ms(self) -> float:
        """How much of the time until now, or until the answer's beginning, was our own."""
        return self._overhead_ms

    async def answer(self) -> T:
        """The answer, whole. Raises a `RunFailed`."""
        ended: Ended | None = None
        try:
            answer = await self._run.answer(self._ask)
            ended = GatewayOutcome.ANSWERED, 200
        except RunFailed as error:
            ended = outcome_of(error), error.status
            raise
        finally:
            self._overhead_ms = self._own_time_ms()
            self._account(ended or self._abandoned())
        return answer

    async def _ask(self, step: ResolvedStep, _seconds: float) -> T:
        model, call = self._call(step)
        one = self._begin(model)
        try:
            answer = await self._services.outgoing.post(
                model.provider.kind,
                model.provider.root + call.path,
                headers=headers_for(model, call, one),
                body=call.body,
                timeout_seconds=None,  # the engine watches the time
                largest=self._wire.largest,
            )
        except OutgoingError as error:
            raise AttemptFailed(failed_request(error)) from error
        if not 200 <= answer.status < 300:
            raise AttemptFailed(self._failed(model, answer.status, answer.headers, answer.body))
        try:
            read, one.usage, one.said = self._wire.read(model, answer.body)
        except UnreadableAnswer as error:
            raise AttemptFailed(unreadable(answer.status, str(error))) from error
        except StreamFailed as error:
            raise AttemptFailed(self._failed(model, error.status, {}, error.body)) from error
        return read

    def _call(self, step: ResolvedStep) -> tuple[GatewayModel, ProviderCall]:
        """What to send to a step's model. Raises `StepSkipped`."""
        blocked = step_blocked(self._services, self._runnable, self.caller.agent, step)
        if blocked is not None:
            raise StepSkipped(Skipped.OVER_BUDGET, str(blocked), blocked.retry_after)
        model = self._runnable.models[step.model_id]
        try:
            call = self._wire.call(model)
        except (CannotSay, BadRequestBody) as error:
            self.refused = error
            raise StepSkipped(Skipped.UNSUPPORTED, str(error)) from error
        self.dropped = call.dropped
        return model, call

    def _begin(self, model: GatewayModel) -> Try:
        self._overhead_ms = self._own_time_ms()
        one = Try(model, trace_headers=self._trace.attempt(model) if self._trace else _NONE)
        self._tries.append(one)
        return one

    def _failed(
        self, model: GatewayModel, status: int, headers: Mapping[str, str], body: bytes
    ) -> AttemptFailure:
        return failed_answer(model.provider.kind, status, headers, body, self._services.clock())

    def _own_time_ms(self) -> float:
        """Of the time since the request came, what was neither a provider's nor waited for."""
        own = self._since_began() - self._run.waited_seconds * 1_000
        for one in self._run.attempts:
            own -= one.milliseconds
        return max(own, 0.0)

    def _since_began(self) -> float:
        return (self._means.now() - self._began) * 1_000

    def _abandoned(self) -> Ended:
        """How it ended where nothing of its own ended it."""
        if not self._services.gateway.stopped.is_set():
            return GatewayOutcome.CANCELLED, CLIENT_GONE
        begun = self._first_token_ms is not None
        return GatewayOutcome.CUT if begun else GatewayOutcome.FAILED, STOPPED

    def _account(self, ended: Ended) -> None:
        outcome, status = ended
        tries = iter(self._tries)
        unsaid = any(one.missing_usage for one in self._tries)
        characters = self._wire.characters if unsaid else 0
        attempts = [
            attempt_row(record, next(tries, None) if record.was_sent else None, characters)
            for record in self._run.attempts
        ]
        answered = self._run.answered_by
        row = NewGatewayRequest(
            request_id=self.caller.request_id,
            endpoint=self._endpoint,
            asked_for=self._runnable.name,
            chain_id=self._runnable.chain_id,
            model_id=answered.model_id
            if answered
            else self._tries[-1].model.id
            if self._tries
            else 0,
            agent=self.caller.agent,
            streamed=self._streamed,
            outcome=outcome,
            status=status,
            started_at=self._started_at,
            milliseconds=round(self._since_began()),
            first_token_ms=self._first_token_ms,
            overhead_ms=round(self._overhead_ms, 2),
            attempts=attempts,
        )
        self.row = row
        self._services.gateway.ledger.add(EndedRequest(row, self._runnable.models))
        if self._trace is not None:
            self._trace.ended(row, self._runnable.models)


def headers_for(model: GatewayModel, call: ProviderCall, one: Try) -> Headers:
    """The provider's, those that pass from the caller, and those that carry a trace on."""
    if not call.headers and not one.trace_headers:
        return model.provider.headers
    return SecretHeaders({**one.trace_headers, **call.headers, **model.provider.headers})


def unreadable(status: int, reason: str) -> AttemptFailure:
    """The failure that an answer is which can't be read."""
    return AttemptFailure(FailureClass.TRANSIENT, status, None, reason)


def outcome_of(error: RunFailed) -> GatewayOutcome:
    """How a request ended that ended so."""
    match error:
        case RequestRefused():
            return GatewayOutcome.REFUSED
        case AnswerCut():
            return GatewayOutcome.CUT
        case _:
            return GatewayOutcome.FAILED
