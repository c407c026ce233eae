"""`trunkline doctor`: looks at everything that a server needs, and changes nothing.

A line a check, OK, WARN or FAIL with what to do. It works beside servers and without any, and shows
no key.
"""

import sys
from collections.abc import AsyncIterator, Sequence

import orjson

from server.failures import CannotStart
from server.findings import Finding, Health, bad, doubtful, good
from server.folder_checks import folder_findings
from server.logs import configure_logs
from server.outside_checks import bus_finding, price_finding, provider_findings
from server.printed import printable
from server.settings import read_settings, unknown_variables
from server.store_checks import StoreChecks
from server.store_commands import run_on_loop
from trunkline.catalog.known import KnownCatalog
from trunkline.clock import system_clock


def run_doctor(*, providers: bool, as_json: bool, **flags: object) -> int:
    """Check, print, and give the exit status: 1 where something fails."""
    findings = run_on_loop(_all(providers=providers, as_json=as_json, flags=flags))
    failed = any(finding.health is Health.FAIL for finding in findings)
    if as_json:
        checks = [
            {
                "check": one.check,
                "health": one.health.value,
                "message": printable(one.message),
                "advice": printable(one.advice) or None,
            }
            for one in findings
        ]
        text = orjson.dumps({"ok": not failed, "checks": checks}, option=orjson.OPT_INDENT_2)
        sys.stdout.write(f"{text.decode()}\n")
    return int(failed)


async def _all(*, providers: bool, as_json: bool, flags: dict[str, object]) -> Sequence[Finding]:
    found = []
    async for finding in _findings(providers=providers, flags=flags):
        found.append(finding)
        if not as_json:
            sys.stdout.write(f"{_line(finding)}\n")
            sys.stdout.flush()
    return found


async def _findings(*, providers: bool, flags: dict[str, object]) -> AsyncIterator[Finding]:
    try:
        settings = read_settings(**flags)
    except CannotStart as error:
        yield bad("settings", str(error), "correct it: everything else depends on it")
        return
    configure_logs(settings.log_format)
    yield good("settings", "all can be read")
    if unknown := unknown_variables():
        said = f"{', '.join(unknown)}: no setting is called so"
        yield doubtful("variables", said, "see that nothing is misspelled: they are passed over")
    for finding in folder_findings(settings):
        yield finding
    store = StoreChecks(settings, system_clock)
    async for finding in store.run():
        yield finding
    yield await bus_finding(settings)
    yield price_finding(KnownCatalog(), system_clock())
    async for finding in provider_findings(settings, store.providers, store.secrets, ask=providers):
        yield finding


def _line(finding: Finding) -> str:
    text = f"{finding.health:4}  {finding.check}: {finding.message}"
    if finding.advice:
        text += f" → {finding.advice}"
    return printable(text)
