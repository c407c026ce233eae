"""Holds every log line, error, trace, answer and output of every test against the secrets in it.

`tests/conftest.py` takes it up. A test in which a secret comes out fails, whatever else it asserts.
A test that shows one on purpose has the mark `shows_secrets`, with the reason.
"""

import gzip
import importlib
import logging
import subprocess
import sys
import traceback
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog

from schema.root import TrunklineSchema
from server.key_file import KeyFile
from server.requests import RequestLog
from server.sign_in import Gate
from tests import program
from tests.planted.watch import LeakWatch, watch
from trunkline.access import changes as access_changes
from trunkline.budgets import webhook_changes
from trunkline.errors import TrunklineError
from trunkline.providers import connection, testing
from trunkline.secrets import Secrets

MARK = "shows_secrets"
_LOGS = ("*.log", "log", "*/*.log", "*/log")
_MOST_LOG_BYTES = 8 << 20
_SECRET_SETTINGS = ("TRUNKLINE_ADMIN_TOKEN", "TRUNKLINE_SECRET_KEYS")


def pytest_configure(config: pytest.Config) -> None:
    """Stand at every way in and out, for as long as the process runs tests."""
    install(watch)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test in which something leaked, and say where."""
    report = yield
    for name, said in report.sections:
        # What was captured before is in each later report again.
        if name.endswith(report.when):
            watch.see(name, said)
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if report.when == "call" and isinstance(folder, Path):
        for path in (one for pattern in _LOGS for one in folder.glob(pattern)):
            if path.is_file() and path.stat().st_size < _MOST_LOG_BYTES:
                watch.see(f"a log, {path.name}", path.read_bytes())
    leaks = watch.taken()
    if leaks and report.outcome == "passed" and item.get_closest_marker(MARK) is None:
        report.outcome = "failed"
        report.longrepr = "a secret came out, in\n" + "\n".join(leaks[:10])
    return report


def install(into: LeakWatch) -> Callable[[], None]:
    """Stand at the ways in and out; gives what takes it away again."""
    undo: list[tuple[Any, str, Any]] = []

    def around(owner: Any, name: str, made: Callable[[Any], Any]) -> None:
        present = vars(owner)[name] if isinstance(owner, type) else getattr(owner, name)
        undo.append((owner, name, present))
        setattr(owner, name, made(present))

    _learn_secrets(into, around)
    _see_logs(into, around)
    _see_answers(into, around)
    _see_processes(into, around)
    _see_traces(into, around)

    def take_away() -> None:
        for owner, name, present in reversed(undo):
            setattr(owner, name, present)

    return take_away


_Around = Callable[[Any, str, Callable[[Any], Any]], None]


def _learn_secrets(into: LeakWatch, around: _Around) -> None:
    def seal(real: Any) -> Any:
        def sealing(self: Secrets, api_key: str, **use: Any) -> bytes:
            for one in _parts(api_key):
                into.learn(one)
            sealed: bytes = real(self, api_key, **use)
            return sealed

        return sealing

    def asked(real: Any) -> Any:
        async def asking(*arguments: Any, **more: Any) -> Any:
            into.learn((arguments[3] if len(arguments) > 3 else more.get("api_key")) or "")
            for value in (more.get("extra_headers") or {}).values():
                into.learn(value)
            return await real(*arguments, **more)

        return asking

    def made(real: Any) -> Any:
        def making() -> str:
            text: str = real()
            into.learn(text, shown=1)
            return text

        return making

    def keyed(real: Any) -> Any:
        def keying(self: Secrets, keys: Iterable[str], *rest: Any, **more: Any) -> None:
            for key in keys:
                into.learn(key)
            real(self, keys, *rest, **more)

        return keying

    def gated(real: Any) -> Any:
        def gating(self: Gate, database: Any, clock: Any, token: str, *rest: Any) -> None:
            into.learn(token)
            real(self, database, clock, token, *rest)

        return gating

    around(Secrets, "seal", seal)
    around(Secrets, "__init__", keyed)
    around(Gate, "__init__", gated)
    around(testing, "ask_for_models", asked)
    around(connection, "ask_for_models", asked)
    around(access_changes, "generate_token", made)
    around(webhook_changes, "generate_secret", made)


def _see_logs(into: LeakWatch, around: _Around) -> None:
    def handled(real: Any) -> Any:
        def handling(self: logging.Logger, record: logging.LogRecord) -> None:
            into.see(f"a line of {record.name}'s log", f"{record.msg!s} {record.args!s}")
            if record.exc_info and record.exc_info[1]:
                _see_error(into, record.exc_info[1])
            if isinstance(record.msg, dict):
                found = record.msg.get("exc_info")
                if found is True or isinstance(found, tuple):
                    found = sys.exc_info()[1] if found is True else found[1]
                if isinstance(found, BaseException):
                    _see_error(into, found)
            real(self, record)

        return handling

    def printed(real: Any) -> Any:
        def printing(self: Any, message: str) -> None:
            into.see("a log line", message)
            real(self, message)

        return printing

    def raised(real: Any) -> Any:
        def raising(self: TrunklineError, *arguments: Any) -> None:
            into.see(f"the text of {type(self).__name__}", " ".join(map(str, arguments)))
            Exception.__init__(self, *arguments)

        return raising

    around(logging.Logger, "handle", handled)
    around(structlog.PrintLogger, "msg", printed)
    for level in ("debug", "info", "warning", "error", "critical", "log"):
        around(structlog.PrintLogger, level, printed)
    TrunklineError.__init__ = Exception.__init__  # type: ignore[method-assign]  # to go back to it
    around(TrunklineError, "__init__", raised)


def _see_error(into: LeakWatch, error: BaseException) -> None:
    into.see("a traceback", "".join(traceback.format_exception(error)))


def _see_answers(into: LeakWatch, around: _Around) -> None:
    def served(real: Any) -> Any:
        async def serving(self: RequestLog, scope: Any, receive: Any, send: Any) -> None:
            end = b""

            async def seen(message: Any) -> None:
                nonlocal end
                said = _said(message)
                if said:
                    # A secret may be cut in two.
                    into.see(f"an answer, {scope.get('path')}", end + said, answer=True)
                    end = b"" if message["type"].startswith("websocket") else said[-200:]
                await send(message)

            await real(self, scope, receive, seen)

        return serving

    def executed(real: Any) -> Any:
        async def executing(self: TrunklineSchema, *arguments: Any, **more: Any) -> Any:
            result = await real(self, *arguments, **more)
            errors = [str(error) for error in result.errors or ()]
            into.see("a GraphQL result", f"{result.data!r} {errors}", answer=True)
            return result

        return executing

    around(RequestLog, "__call__", served)
    TrunklineSchema.execute = TrunklineSchema.execute  # type: ignore[method-assign]  # as above
    around(TrunklineSchema, "execute", executed)


def _said(message: Any) -> bytes:
    match message["type"]:
        case "http.response.start" | "websocket.accept":
            headers = message.get("headers") or ()
            # The only header that shows a secret rightly: a browser's session.
            return b"\n".join(value for name, value in headers if name.lower() != b"set-cookie")
        case "http.response.body":
            body: bytes = message.get("body") or b""
            return gzip.decompress(body) if body.startswith(b"\x1f\x8b\x08") else body
        case "websocket.send":
            return message.get("bytes") or (message.get("text") or "").encode()
        case _:
            return str(message.get("reason") or "").encode()


def _see_processes(into: LeakWatch, around: _Around) -> None:
    def started(real: Any) -> Any:
        def starting(self: Any, *arguments: Any, **more: Any) -> None:
            _learn_settings(into, more.get("env") or {})
            real(self, *arguments, **more)

        return starting

    def communicated(real: Any) -> Any:
        def communicating(self: Any, *arguments: Any, **more: Any) -> Any:
            output, errors = real(self, *arguments, **more)
            into.see("stderr of a process", errors or "")
            return output, errors

        return communicating

    def ran(real: Any) -> Any:
        def running(arguments: Any, environment: Any, *more: Any) -> Any:
            _learn_settings(into, environment)
            done = real(arguments, environment, *more)
            into.see(f"stderr of trunkline {' '.join(arguments)}", done.stderr)
            return done

        return running

    def read(real: Any) -> Any:
        def reading(self: KeyFile) -> Any:
            keys = real(self)
            for key in keys:
                into.learn(key)
            return keys

        return reading

    around(subprocess.Popen, "__init__", started)
    around(subprocess.Popen, "communicate", communicated)
    around(KeyFile, "read", read)
    around(program, "ended", ran)


def _learn_settings(into: LeakWatch, environment: Any) -> None:
    for name in _SECRET_SETTINGS:
        for one in str(environment.get(name, "")).split(","):
            into.learn(one)


def _see_traces(into: LeakWatch, around: _Around) -> None:
    try:
        sdk = importlib.import_module("opentelemetry.sdk.trace")
    except ImportError:
        return

    def ended(real: Any) -> Any:
        def ending(self: Any, *arguments: Any, **more: Any) -> None:
            events = [(event.name, dict(event.attributes or {})) for event in self.events]
            said = f"{self.name} {dict(self.attributes or {})} {events} {self.status.description}"
            into.see("a span", said)
            real(self, *arguments, **more)

        return ending

    around(sdk.Span, "end", ended)


def _parts(sealed: str) -> list[str]:
    """What is secret in a sealed text: the values where it is a JSON object."""
    if sealed.startswith("{"):
        try:
            return [str(value) for value in orjson.loads(sealed).values()]
        except ValueError:
            pass
    return [sealed]
