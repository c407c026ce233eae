"""Whether OpenTelemetry's environment variables ask for traces, and what is needed to send them.

Only OTLP over HTTP is spoken. Where nothing asks for it, none of the libraries is imported:
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit

from server.failures import CannotStart
from server.tracing.port import Traces

ProviderTraces = Literal["own", "all", "none"]
"""To which providers `traceparent` goes: servers of one's own, every provider, none."""

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN = "http/protobuf"


@contextmanager
def traces_of(environment: Mapping[str, str], providers: ProviderTraces) -> Iterator[Traces | None]:
    """What traces the server for the block, or None. Raises `CannotStart`.

    At the end what was not sent yet is sent, for two seconds at most.
    """
    if not _are_wanted(environment):
        yield None
        return
    try:
        from server.tracing.exporting import exported_spans
    except ImportError as error:
        raise CannotStart(
            f"OTEL_…: traces are asked for, and {error.name} is not installed: "
            "pip install 'trunkline[otel]', or set OTEL_TRACES_EXPORTER=none"
        ) from error
    with exported_spans(continues=_propagates(environment), providers=providers) as spans:
        yield spans


def _are_wanted(environment: Mapping[str, str]) -> bool:
    """Raises `CannotStart` where they are, and can't be sent so."""
    if _word(environment, "OTEL_SDK_DISABLED") == "true":
        return False
    exporter = _word(environment, "OTEL_TRACES_EXPORTER")
    if exporter == "none":
        return False
    if exporter not in {"", "otlp"}:
        raise CannotStart("OTEL_TRACES_EXPORTER: give `otlp` or `none`: no other exporter is known")
    given = [name for name in _ENDPOINTS if environment.get(name, "").strip()]
    if not given and not exporter:
        return False
    for name in given:
        _check_endpoint(name, environment[name].strip())
    for name in _PROTOCOLS:
        if _word(environment, name) not in {"", _SPOKEN}:
            raise CannotStart(
                f"{name}: give `{_SPOKEN}`, whose port at a collector usually is 4318"
            )
    return True


def _check_endpoint(name: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good:
        # Without what was given: it may hold a key.
        raise CannotStart(f"{name}: give a URL such as http://127.0.0.1:4318")


def _propagates(environment: Mapping[str, str]) -> bool:
    """Whether `traceparent` is read and sent."""
    names = {one.strip() for one in _word(environment, "OTEL_PROPAGATORS").split(",")}
    return names <= {""} or "tracecontext" in names


def _word(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name, "").strip().lower()
