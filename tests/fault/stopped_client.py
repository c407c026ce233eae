"""A client process to be stopped: `python -m tests.fault.stopped_client <port> <sockets>`."""

import asyncio
import sys

from benchmarks.light_sockets import graphql_message, light_sockets
from tests.fault.slow_readers import HEADERS, MUCH


async def main(port: int, number: int) -> None:
    """Subscribe, say so, and go on until the end."""
    async with light_sockets(port, number, HEADERS) as (sockets, arrivals):
        for one in sockets:
            one.send(b'{"type":"connection_init"}')
            one.send(graphql_message("1", MUCH, {}))
        await arrivals.wait_for(2 * number)
        print("subscribed", flush=True)  # noqa: T201  # what it is waited for
        await asyncio.sleep(3_600)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
