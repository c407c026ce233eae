"""A crowded server says so, and its probes stay open."""

import httpx2

from tests.server.conftest import ServerMaker


async def test_requests_beyond_the_bound_get_503_and_room_comes_back(
    make_running_server: ServerMaker,
) -> None:
    server = make_running_server(most_requests=1)
    url = f"{server.url}/graphql"
    stream = {"Accept": "text/event-stream"} | server.bearer
    async with httpx2.AsyncClient() as client:
        forever = {"query": "subscription { forever }"}
        async with client.stream("POST", url, json=forever, headers=stream) as streaming:
            assert streaming.status_code == 200
            answer = await client.post(url, json={"query": "{ hello }"}, headers=server.bearer)
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "1"
            (error,) = answer.json()["errors"]
            assert error["message"].startswith("1 requests are being served")
            assert error["extensions"]["requestId"] == answer.headers["X-Request-Id"]
            for probe in ("/healthz", "/readyz"):
                assert (await client.get(f"{server.url}{probe}")).status_code == 200
        # The server hears of the end a moment later.
        for _ in range(200):
            answer = await client.post(url, json={"query": "{ hello }"}, headers=server.bearer)
            if answer.status_code == 200:
                break
        assert answer.json() == {"data": {"hello": "hello world"}}
