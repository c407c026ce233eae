"""Everything together, in Prometheus's text format or in OpenMetrics.

The two formats: https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://prometheus.io/docs/specs/om/open_metrics_spec/.
"""

import asyncio
import platform
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, exposition
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.registry import Collector

import trunkline
from server.metrics.door import DoorMetrics
from server.metrics.work import WorkMetrics


class Exposition:
    """Made once for a server. One scrape at a time is written; others wait for it."""

    def __init__(self, door: DoorMetrics, work: WorkMetrics | None) -> None:
        self._door = door
        self._work = work
        # Of no registry, as it would be asked in the loop.
        self._process = ProcessCollector(registry=CollectorRegistry(auto_describe=False))
        self._writing = asyncio.Lock()

    async def written(self, *, openmetrics: bool) -> tuple[bytes, str]:
        """The metrics as they stand, and their media type."""
        async with self._writing:
            if self._work is not None:
                await self._work.prepare()
            # In the loop's thread, between two turns: the numbers are of one moment.
            families = [*self._door.families()]
            if self._work is not None:
                families += self._work.families()
            return await asyncio.to_thread(self._write, families, openmetrics)

    def _write(self, families: Sequence[Metric], as_openmetrics: bool) -> tuple[bytes, str]:  # noqa: FBT001
        found = _Found([*families, _build(), *self._process.collect()])
        if as_openmetrics:
            return (
                openmetrics_exposition.generate_latest(found),  # type: ignore[no-untyped-call]  # untyped there
                openmetrics_exposition.CONTENT_TYPE_LATEST,
            )
        return exposition.generate_latest(found), exposition.CONTENT_TYPE_PLAIN_0_0_4


class _Found(Collector):
    """What was collected already."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _build() -> Metric:
    family = GaugeMetricFamily(
        "trunkline_build_info", "1, with what runs here.", labels=("version", "python")
    )
    family.add_metric((trunkline.__version__, platform.python_version()), 1)
    return family
