"""Another sign-in link, made beside a running server: they share the database."""

from server.logs import configure_logs
from server.serving import sign_in_link
from server.settings import Settings
from server.sign_in import Gate
from server.store_commands import require_database, run_on_loop
from server.wiring import open_database
from trunkline.clock import system_clock


def new_sign_in_link(settings: Settings) -> str:
    """A link to the server of these settings. Raises `CannotStart` where it has no database that
    can be used.
    """
    require_database(settings)
    configure_logs(settings.log_format)
    code = run_on_loop(_issue_code(settings))
    return sign_in_link(settings.address(settings.port), code)


async def _issue_code(settings: Settings) -> str:
    async with open_database(settings) as database:
        # The token plays no part in a code.
        return await Gate(database, system_clock, "").issue_code()
