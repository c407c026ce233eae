"""`trunkline usage verify`: are totals what the events sum up to? With or without a server."""

from db.rollup_levels import DAY, HOUR, SUMMED
from db.usage_verify import Difference
from server.failures import CannotStart
from server.logs import configure_logs
from server.progress import Progress
from server.settings import Settings
from server.store_commands import first_line_of, make_way, require_database, run_on_loop
from server.wiring import command_services
from trunkline.usage.verifying import VerifyReport, moment_of, verify_usage

_NAMES = {
    "provider_id": "provider",
    "model_id": "model",
    "agent": "agent",
    "chain_id": "chain",
    "latency_bin": "latency bin",
}


def run_verify(settings: Settings, *, repair: bool) -> int:
    """Verify, and give the exit status: 1 where anything differed, also where it was mended.

    Raises `CannotStart`.
    """
    require_database(settings)
    configure_logs(settings.log_format)
    report = VerifyReport()
    progress = Progress()
    try:
        run_on_loop(_verify(settings, report, progress, repair=repair))
    except CannotStart:
        raise
    except Exception as error:
        raise CannotStart(
            f"the verification broke off: {first_line_of(error)}; {_counted(report)} so far"
        ) from error
    except KeyboardInterrupt:
        progress.note(f"{_counted(report)} so far")
        raise
    finally:
        progress.clear()
        for difference in report.listed:
            print(_told(difference))  # noqa: T201  # what the command is asked for
        if report.left_out:
            print(f"and {report.left_out:,} more")  # noqa: T201
    print(_counted(report))  # noqa: T201
    if report.differences and not repair:
        progress.note("run it with --repair to make the totals what the events sum up to")
    return 1 if report.differences else 0


async def _verify(
    settings: Settings, report: VerifyReport, progress: Progress, *, repair: bool
) -> None:
    async def on_hour() -> None:
        at = "" if report.hour is None else f" at {report.hour:%Y-%m-%d}"
        to = "" if report.last is None else f" of {report.last:%Y-%m-%d}"
        progress.show(f"{_counted(report)},{at}{to}" if at else _counted(report))

    async def on_mended() -> None:
        await on_hour()
        await make_way(settings)

    async with command_services(settings) as services:
        await verify_usage(
            services, repair=repair, report=report, on_hour=on_hour, on_mended=on_mended
        )


def _counted(report: VerifyReport) -> str:
    mended = f", {report.mended:,} rollups mended" if report.mended else ""
    return f"{report.days:,} days verified, {report.differences:,} differences{mended}"


def _told(difference: Difference) -> str:
    """A difference in one line: which rollup, and what is stored and right of it."""
    level, key = difference.level, difference.key
    begin = moment_of(key.bucket_start)
    at = str(key.bucket_start) if begin is None else f"{begin:%Y-%m-%dT%H:%M:%SZ}"
    grain = {HOUR: "hour", DAY: "day"}.get(level.grain, "quarter hour")
    # As literals: a name may hold anything that is printed otherwise.
    kept = [f"{_NAMES[name]} {getattr(key, name)!r}" for name in _NAMES if name in level.columns]
    nothing = (0,) * len(SUMMED)
    figures = [
        f"{name} {stored}, should be {right}"
        for name, stored, right in zip(
            SUMMED, difference.stored or nothing, difference.right or nothing, strict=True
        )
        if stored != right
    ]
    what = "; ".join(figures) or "stored without any usage"
    return f"{grain} at {at}, {', '.join(kept)}: {what}"
