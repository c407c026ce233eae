"""What it costs to answer, as JSON and as gzip: bytes, and the server's CPU time.

Run `python -m benchmarks answers`. A real server and a client that asks for usage by model again
and again: a month by day, and by hour; and for what server this is, a small answer. The
base of a ratio is the same answer as plain JSON.
"""

import http.client
import json

from benchmarks.live_server import TOKEN, cpu_seconds, record, server

EVENTS = 40
REQUESTS = 100
QUERY = """query ($input: UsageSeriesInput!) { usageSeries(input: $input) { asOf groups {
  key label points { start requests inputTokens outputTokens costUsd } } } }"""
ANSWERS = {
    "what server this is": ("query { serverInfo { version database startedAt } }", {}),
    "a month by day": (QUERY, {"period": "LAST_30_DAYS"}),
    "a month by hour": (QUERY, {"period": "LAST_30_DAYS", "granularity": "HOUR"}),
}


def main() -> None:
    """Measure, and print the table."""
    with server() as (process, port):
        for number in range(EVENTS):
            record(port, number)
        print(
            "| answer | JSON, bytes | gzip, bytes | ratio | JSON, ms CPU | gzip, ms CPU | ratio |"
        )
        print("|---|---|---|---|---|---|---|")
        for name, (query, asked) in ANSWERS.items():
            plain, plain_seconds = _measured(process.pid, port, query, asked, "identity")
            packed, packed_seconds = _measured(process.pid, port, query, asked, "gzip")
            print(
                f"| {name} | {plain:,} | {packed:,} | {packed / plain:.2f} "
                f"| {plain_seconds * 1e3:.1f} | {packed_seconds * 1e3:.1f} "
                f"| {packed_seconds / plain_seconds:.2f} |"
            )


def _measured(
    pid: int, port: int, query: str, asked: dict[str, str], encoding: str
) -> tuple[int, float]:
    """Bytes of the answer's body, and the server's CPU seconds for one."""
    given = {
        "dimension": "MODEL",
        "window": {"period": asked.get("period", "TODAY")},
        "timezone": "UTC",
        "granularity": asked.get("granularity", "DAY"),
    }
    body = json.dumps({"query": query, "variables": {"input": given} if asked else {}})
    headers = {
        "Authorization": f"Bearer {TOKEN}",
        "Content-Type": "application/json",
        "Accept-Encoding": encoding,
    }
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def ask() -> int:
        connection.request("POST", "/graphql", body, headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        return len(answer.read())

    size = ask()
    began = cpu_seconds(pid)
    for _ in range(REQUESTS):
        ask()
    return size, (cpu_seconds(pid) - began) / REQUESTS


if __name__ == "__main__":
    main()
