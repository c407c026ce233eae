"""What is known of one request to a provider, and how it stands in the ledger."""

from dataclasses import dataclass

from db.gateway_requests import GatewayAttemptRow
from trunkline.failover.attempts import AttemptRecord
from trunkline.gateway.answers import Usage
from trunkline.gateway.configuration import GatewayModel
from trunkline.gateway.estimating import tokens_of
from trunkline.gateway.protocols import Headers, PassingStream

_LONGEST_REASON = 500


@dataclass(slots=True)
class Try:
    """A request to a provider. `said` is how many characters its model has said."""

    model: GatewayModel
    trace_headers: Headers
    usage: Usage | None = None
    said: int = 0
    stream: PassingStream | None = None

    def take_over(self) -> None:
        """Know what its stream knows."""
        if self.stream is not None:
            self.usage, self.said = self.stream.usage, self.stream.said

    @property
    def missing_usage(self) -> bool:
        """Whether the provider has not said what was used."""
        return (self.usage if self.stream is None else self.stream.usage) is None


def attempt_row(record: AttemptRecord, one: Try | None, asked_characters: int) -> GatewayAttemptRow:
    """An attempt as it is stored; `one` is None where nothing was sent.

    What was used is estimated where the provider has not said: of an answer that is whole, and of
    one that had begun, or was left by its caller. A failure before that used nothing that we know.
    """
    usage, estimated = Usage(), False
    if one is not None:
        one.take_over()
        usage, estimated = _used(record, one, asked_characters)
    return GatewayAttemptRow(
        step_id=record.step.id,
        provider_id=record.step.provider_id,
        model_id=record.step.model_id,
        label=record.step.label,
        sent=one is not None,
        outcome=None if record.outcome is None else record.outcome.value,
        cancelled=record.cancelled,
        status=record.status,
        started_at=record.started_at,
        milliseconds=round(record.milliseconds),
        reason=record.reason[:_LONGEST_REASON],
        input_tokens=usage.input,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
        output_tokens=usage.output,
        reasoning_tokens=usage.reasoning,
        estimated=estimated,
    )


def _used(record: AttemptRecord, one: Try, asked_characters: int) -> tuple[Usage, bool]:
    whole = record.outcome is None and not record.cancelled
    said = tokens_of(one.said)
    if one.usage is None:
        if not (whole or record.cancelled or one.said):
            return Usage(), False
        return Usage(input=tokens_of(asked_characters), output=said), True
    if whole or said <= one.usage.output:
        return one.usage, False
    # It broke off before the provider had said how much that was.
    known = one.usage
    return (
        Usage(known.input, known.cache_read, known.cache_write, said, known.reasoning),
        True,
    )
