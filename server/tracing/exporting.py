"""Sends spans by OTLP over HTTP, in a thread of its own.

The receiver being slow or away costs the newest spans and nothing else: they wait in a bounded
queue, and what doesn't fit is dropped.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import trunkline
from server.failures import CannotStart
from server.tracing.environment import ProviderTraces
from server.tracing.port import Traces
from server.tracing.spans import Spans

log = structlog.get_logger("trunkline.tracing")

LAST_SPANS_SECONDS = 2.0
"""For what was not sent yet, when the server stops."""
_SECONDS_BETWEEN_LINES = 60.0
_NOISY = ("opentelemetry", "urllib3")


@contextmanager
def exported_spans(*, continues: bool, providers: ProviderTraces) -> Iterator[Traces]:
    """Spans that are sent where the environment says. Raises `CannotStart`."""
    for name in _NOISY:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [_Quiet()], False
    try:
        # What the environment says of the service wins.
        resource = Resource({SERVICE_NAME: "trunkline"}).merge(_given_resource())
        provider = TracerProvider(
            resource=resource.merge(Resource({SERVICE_VERSION: trunkline.__version__})),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except Exception as error:
        # Whatever of the other variables it could not read; its text may hold their values.
        raise CannotStart(
            f"OTEL_…: traces can't be sent as these variables say: {type(error).__name__}"
        ) from error
    tracer = provider.get_tracer("trunkline", trunkline.__version__)
    try:
        yield Spans(tracer, continues=continues, providers=providers)
    finally:
        _stop(provider)


def _given_resource() -> Resource:
    """What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say."""
    found = Resource.create()
    if str(found.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        kept = {key: value for key, value in found.attributes.items() if key != SERVICE_NAME}
        return Resource(kept, found.schema_url)
    return found


def _stop(provider: TracerProvider) -> None:
    """Send what waits; a receiver that hangs is left behind with its thread."""
    last = threading.Thread(target=provider.shutdown, daemon=True)
    last.start()
    last.join(LAST_SPANS_SECONDS)


class _Quiet(logging.Handler):
    """Says once a minute at most that something is wrong. Not what: the libraries' texts hold URLs,
    which may hold keys.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said_at = -_SECONDS_BETWEEN_LINES

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if now - self._said_at >= _SECONDS_BETWEEN_LINES:
            self._said_at = now
            log.warning("traces can't be sent just now", source=record.name)
