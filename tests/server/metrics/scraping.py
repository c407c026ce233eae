"""A scrape as Prometheus makes it, read by its own library."""

from collections.abc import Iterable, Mapping

import aiohttp
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text_format

from tests.server.gateway.world import World

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


async def scraped(world: World, accept: str = OPENMETRICS) -> "Scrape":
    """The metrics now."""
    async with aiohttp.ClientSession() as session:
        answer = await session.get(
            f"{world.url}/metrics", headers=world.bearer | {"Accept": accept}
        )
        assert answer.status == 200, await answer.text()
        return Scrape(await answer.text(), answer.headers["Content-Type"])


class Scrape:
    """Parsing fails where a format's own rules are broken."""

    def __init__(self, text: str, content_type: str) -> None:
        self.content_type = content_type
        parse = openmetrics if content_type.startswith("application/openmetrics") else text_format
        self.samples = [sample for family in parse(text) for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """The sample with exactly these labels, `class_` being `class`; 0 where there is none."""
        wanted = {key.rstrip("_"): value for key, value in labels.items()}
        found = [one.value for one in self.samples if one.name == name and one.labels == wanted]
        assert len(found) <= 1, f"{name} {wanted} comes {len(found)} times"
        return found[0] if found else 0.0

    def total(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels, among others."""
        wanted = {key.rstrip("_"): value for key, value in labels.items()}.items()
        return sum(
            one.value for one in self.samples if one.name == name and wanted <= one.labels.items()
        )

    def labels(self, name: str, label: str) -> Iterable[str]:
        """The values of a label, each once."""
        return {one.labels[label] for one in self.samples if one.name == name}
