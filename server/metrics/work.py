"""What the work counts: usage, the gateway, circuits, queues, the database."""

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client.core import Metric, SummaryMetricFamily

from server.metrics.families import counters, gauge, gauges, histograms, summed
from server.metrics.labels import ProviderLabels
from trunkline.failover.breakers import CircuitOf
from trunkline.failover.circuits import CircuitState
from trunkline.services import Services
from trunkline.usage.tally import Tallied

_TOKENS = {
    "input": "input_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
    "output": "output_tokens",
    "reasoning": "reasoning_tokens",
}


class WorkMetrics:
    """Reads them; `prepare` first."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._providers = ProviderLabels(services.database, services.events)

    async def prepare(self) -> None:
        """Learn the providers' names."""
        await self._providers.refresh()

    def families(self) -> Iterable[Metric]:
        """All of them."""
        yield from self._usage()
        yield from self._gateway()
        yield from self._circuits()
        yield from self._queues()
        yield from self._database()

    def _usage(self) -> Iterator[Metric]:
        tallied: list[tuple[tuple[str, str], Tallied]] = [
            ((slug, source), one)
            for slug, (source, one) in self._providers.labelled(
                (provider_id, (source, one))
                for (provider_id, source), one in self._services.usage_tally.by_provider.items()
            )
        ]
        labels = ("provider", "source")
        yield counters(
            "trunkline_usage_events",
            "Usage events recorded by this process; `source` is gateway or reported.",
            (*labels, "result"),
            (
                ((*key, result), count)
                for key, one in tallied
                for result, count in (
                    ("succeeded", one.events - one.failed),
                    ("failed", one.failed),
                )
            ),
        )
        yield counters(
            "trunkline_usage_tokens",
            "Tokens of these events. Cached ones are part of input, reasoning is part of output.",
            (*labels, "class"),
            (
                ((*key, name), getattr(one, attribute))
                for key, one in tallied
                for name, attribute in _TOKENS.items()
            ),
        )
        yield counters(
            "trunkline_usage_cost_nanodollars",
            "What the events cost whose price is known, in whole nanodollars: 1e9 are a US dollar.",
            labels,
            ((key, one.cost_nanos) for key, one in tallied),
        )
        yield counters(
            "trunkline_usage_unpriced_events",
            "Events whose price is not known: their cost is in no sum.",
            labels,
            ((key, one.unpriced) for key, one in tallied),
        )
        yield counters(
            "trunkline_usage_estimated_events",
            "Events whose tokens are estimated, as their provider did not say.",
            labels,
            ((key, one.estimated) for key, one in tallied),
        )

    def _gateway(self) -> Iterator[Metric]:
        tally = self._services.gateway.ledger.tally
        providers = list(self._providers.labelled(tally.providers.items()))
        yield counters(
            "trunkline_gateway_requests",
            "Requests through the gateway that ended, by endpoint and outcome.",
            ("endpoint", "outcome"),
            (
                ((endpoint.lower(), outcome.lower()), count)
                for endpoint, one in tally.endpoints.items()
                for outcome, count in one.outcomes.items()
            ),
        )
        yield histograms(
            "trunkline_gateway_request_seconds",
            "How long they took, whole.",
            ("endpoint",),
            (((endpoint.lower(),), one.durations) for endpoint, one in tally.endpoints.items()),
        )
        yield histograms(
            "trunkline_gateway_first_token_seconds",
            "How long streamed ones took to their first token.",
            (),
            [((), tally.first_token)],
        )
        yield histograms(
            "trunkline_gateway_overhead_seconds",
            "How much of a request's time was Trunkline's own.",
            (),
            [((), tally.overhead)],
        )
        yield counters(
            "trunkline_gateway_attempts",
            "Attempts at providers by how they ended: succeeded, cancelled, a class of failure, or "
            "why the step was skipped.",
            ("provider", "outcome"),
            (
                ((slug, outcome.lower()), count)
                for slug, one in providers
                for outcome, count in one.outcomes.items()
            ),
        )
        seconds = SummaryMetricFamily(
            "trunkline_gateway_attempt_seconds",
            "How long the attempts took that were sent.",
            labels=("provider",),
        )
        times = dict(summed(((slug,), one.milliseconds) for slug, one in providers))
        for key, sent in summed(((slug,), one.sent) for slug, one in providers):
            seconds.add_metric(key, int(sent), times[key] / 1_000)
        yield seconds
        yield gauge(
            "trunkline_gateway_held_bytes",
            "Memory of answers that are held back until they are whole.",
            self._services.gateway.means.held.used,
        )

    def _circuits(self) -> Iterator[Metric]:
        states = [*self._services.gateway.breakers.states()]
        counted = Counter((of, state) for of, _, state in states)
        yield gauges(
            "trunkline_circuits",
            "Circuits of providers and models that were ever tried, by where they stand.",
            ("of", "state"),
            (
                ((of.lower(), state.lower()), counted[of, state])
                for of in CircuitOf
                for state in CircuitState
            ),
        )
        yield gauges(
            "trunkline_provider_circuit_open",
            "1 where a provider's own circuit is open or probed, 0 where it is closed.",
            ("provider",),
            summed(
                ((slug,), is_open)
                for slug, is_open in self._providers.labelled(
                    (one, state is not CircuitState.CLOSED)
                    for of, one, state in states
                    if of is CircuitOf.PROVIDER
                )
            ),
        )

    def _queues(self) -> Iterator[Metric]:
        services = self._services
        depths = list(
            self._providers.labelled(
                (one, (running, waiting))
                for one, running, waiting in services.gateway.means.slots.depths()
            )
        )
        yield gauges(
            "trunkline_provider_requests_running",
            "Requests that are with a provider now.",
            ("provider",),
            summed(((slug,), running) for slug, (running, _) in depths),
        )
        yield gauges(
            "trunkline_provider_requests_waiting",
            "Requests that wait for a place at a provider.",
            ("provider",),
            summed(((slug,), waiting) for slug, (_, waiting) in depths),
        )
        yield gauge(
            "trunkline_ledger_waiting_requests",
            "Gateway requests that ended and are not stored yet; at 5000 new ones wait.",
            len(services.gateway.ledger),
        )
        yield gauge(
            "trunkline_recording_waiting_events",
            "Reported usage events that are not stored yet; above 20000 more are refused.",
            services.recording.queued_events,
        )
        yield gauge(
            "trunkline_usage_feeds_open",
            "Distinct usage series that are watched live.",
            services.hub.feed_count,
        )

    def _database(self) -> Iterator[Metric]:
        database = self._services.database
        watch = database.watch
        yield histograms(
            "trunkline_database_transaction_seconds",
            "Transactions of the database, waiting for a connection and for locks included.",
            ("access",),
            (((access,), one) for access, one in watch.durations.items()),
        )
        yield counters(
            "trunkline_database_failures",
            "Transactions that the database failed.",
            ("access",),
            (((access,), count) for access, count in watch.failed.items()),
        )
        yield counters(
            "trunkline_database_retries",
            "Writes that ran again, as another transaction won the race.",
            (),
            [((), watch.retried)],
        )
        reads, writes = database.under_way
        yield gauges(
            "trunkline_database_transactions_open",
            "Transactions under way, those that wait for their turn among them.",
            ("access",),
            [(("read",), reads), (("write",), writes)],
        )
        yield gauges(
            "trunkline_database_info",
            "1, with the kind of database.",
            ("dialect",),
            [((database.dialect,), 1)],
        )
