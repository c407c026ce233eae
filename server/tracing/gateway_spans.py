"""The spans of one request through the gateway: its own, and one for each attempt that was sent.

Names by the semantic conventions for generative AI, which are in development still:
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
"""

from collections.abc import Mapping

from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from db.gateway_requests import GatewayAttemptRow, NewGatewayRequest
from db.vocabulary import GatewayEndpoint, GatewayOutcome, ProviderKind
from server.tracing.environment import ProviderTraces
from trunkline.gateway.configuration import GatewayModel, GatewayProvider
from trunkline.providers.kinds import KIND_FACTS

_NAMES = {
    ProviderKind.ANTHROPIC: "anthropic",
    ProviderKind.OPENAI: "openai",
    ProviderKind.GOOGLE: "gcp.gemini",
    ProviderKind.OLLAMA: "ollama",
    ProviderKind.OPENAI_COMPATIBLE: "openai_compatible",
}
_ERRORS = frozenset({GatewayOutcome.FAILED, GatewayOutcome.CUT})


class RequestSpans:
    """A `RequestTrace`."""

    def __init__(
        self,
        tracer: Tracer,
        propagator: TraceContextTextMapPropagator,
        providers: ProviderTraces,
    ) -> None:
        self._tracer = tracer
        self._propagator = propagator
        self._providers = providers
        self._span = tracer.start_span("gateway")
        self._inner = set_span_in_context(self._span)
        # Each with when it began, in nanoseconds since 1970.
        self._attempts: list[Span] = []

    def attempt(self, model: GatewayModel) -> Mapping[str, str]:
        """Begin an attempt's span."""
        span = self._tracer.start_span(
            f"chat {model.wire_name}",
            self._inner,
            kind=SpanKind.CLIENT,
            attributes={
                "gen_ai.provider.name": model.provider.known_provider
                or _NAMES[model.provider.kind],
                "gen_ai.request.model": model.wire_name,
                "trunkline.model": model.label,
            },
        )
        self._attempts.append(span)
        headers: dict[str, str] = {}
        if _is_told(model.provider, self._providers):
            self._propagator.inject(headers, set_span_in_context(span))
        return headers

    def ended(self, row: NewGatewayRequest, models: Mapping[int, GatewayModel]) -> None:
        """End all of them, with what is known by now."""
        span = self._span
        operation = "embeddings" if row.endpoint is GatewayEndpoint.EMBEDDINGS else "chat"
        sent = [one for one in row.attempts if one.sent]
        for attempt, one in zip(self._attempts, sent, strict=False):
            if one.model_id in models:
                attempt.update_name(f"{operation} {models[one.model_id].wire_name}")
            _end_attempt(attempt, one, operation)
        for one in row.attempts:
            if not one.sent:
                span.add_event(
                    "step skipped",
                    {"trunkline.model": one.label, "trunkline.outcome": one.outcome or ""},
                )
        span.update_name(f"gateway {operation}")
        span.set_attributes(
            {
                "gen_ai.operation.name": operation,
                "trunkline.request_id": row.request_id,
                "trunkline.endpoint": row.endpoint.value,
                "trunkline.asked_for": row.asked_for,
                "trunkline.agent": row.agent,
                "trunkline.streamed": row.streamed,
                "trunkline.outcome": row.outcome.value,
                "trunkline.attempts": len(sent),
                "trunkline.overhead_ms": row.overhead_ms,
                "http.response.status_code": row.status,
            }
        )
        if row.first_token_ms is not None:
            span.set_attribute("trunkline.first_token_ms", row.first_token_ms)
        if row.outcome in _ERRORS:
            span.set_attribute("error.type", row.outcome.value)
            span.set_status(StatusCode.ERROR)
        span.end()


def _end_attempt(span: Span, one: GatewayAttemptRow, operation: str) -> None:
    outcome = "CANCELLED" if one.cancelled else one.outcome or "SUCCEEDED"
    span.set_attributes(
        {
            "gen_ai.operation.name": operation,
            # By the conventions cached tokens are part of input, as they are here.
            "gen_ai.usage.input_tokens": one.input_tokens,
            "gen_ai.usage.output_tokens": one.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": one.cache_read_tokens,
            "gen_ai.usage.cache_creation.input_tokens": one.cache_write_tokens,
            "trunkline.usage.reasoning_tokens": one.reasoning_tokens,
            "trunkline.usage.estimated": one.estimated,
            "trunkline.outcome": outcome,
        }
    )
    if one.status is not None:
        span.set_attribute("http.response.status_code", one.status)
    if one.outcome is not None:
        span.set_attribute("error.type", one.outcome)
        span.set_status(StatusCode.ERROR)
    began = getattr(span, "start_time", None)
    # A span that is not recorded has no beginning.
    span.end(None if began is None else began + one.milliseconds * 1_000_000)


def _is_told(provider: GatewayProvider, providers: ProviderTraces) -> bool:
    """Whether a provider is told of the trace: by default servers of one's own alone, which may
    trace too. To others the ids say which requests belong together, and nobody there needs them.
    """
    if providers == "own":
        return KIND_FACTS[provider.kind].may_be_private and provider.known_provider is None
    return providers == "all"
