"""Logs: one event a line on stderr, for people (`console`) or for machines (`json`).

Libraries that log through the standard library come out the same way. No traceback shows the values
of local variables: they may be keys.
"""

import json
import logging
import sys
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.types import Processor

# uvicorn takes a socket that was answered with a status for a mistake of the application's.
_SAID_OF_EVERY_REFUSED_SOCKET = "ASGI callable returned without completing handshake."


def configure_logs(log_format: Literal["console", "json"], stream: TextIO | None = None) -> None:
    """Send every log line to `stream`, stderr by default. Call it again to change that."""
    output = sys.stderr if stream is None else stream
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendering(log_format, colors=output.isatty()),
            ],
        )
    )
    handler.addFilter(_is_news)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)


def _is_news(record: logging.LogRecord) -> bool:
    if record.name == "uvicorn.error" and record.msg == _SAID_OF_EVERY_REFUSED_SOCKET:
        return False
    # What libraries tell for information repeats ours, and holds URLs with their queries.
    return isinstance(record.msg, dict) or record.levelno >= logging.WARNING


def _rendering(log_format: Literal["console", "json"], *, colors: bool) -> list[Processor]:
    if log_format == "json":
        return [
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(serializer=_json),
        ]
    return [
        structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
        )
    ]


def _json(event: Any, **_options: Any) -> str:
    try:
        return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:
        # A name of a file that is no UTF-8, for one: the line would be lost.
        return json.dumps(event, default=str)
