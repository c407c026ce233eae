"""Families of metrics, made of what is counted elsewhere."""

from collections.abc import Iterable, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from db.durations import Durations

Labelled = Iterable[tuple[Sequence[str], float]]
"""Values of labels, in the order of their names, and the number."""


def gauge(name: str, about: str, value: float) -> Metric:
    """One number that goes up and down."""
    return GaugeMetricFamily(name, about, value=value)


def gauges(name: str, about: str, labels: Sequence[str], values: Labelled) -> Metric:
    """Several of them."""
    family = GaugeMetricFamily(name, about, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, value)
    return family


def counters(name: str, about: str, labels: Sequence[str], values: Labelled) -> Metric:
    """Numbers that only grow; `_total` is added to the name. Equal labels are summed."""
    family = CounterMetricFamily(name, about, labels=labels)
    for label_values, value in summed(values):
        family.add_metric(label_values, value)
    return family


def histograms(
    name: str,
    about: str,
    labels: Sequence[str],
    durations: Iterable[tuple[Sequence[str], Durations]],
) -> Metric:
    """How long things took."""
    family = HistogramMetricFamily(name, about, labels=labels)
    for label_values, one in durations:
        buckets: list[tuple[str, float]] = []
        below = 0
        for bound, count in zip((*one.bounds, float("inf")), one.counts, strict=True):
            below += count
            buckets.append(("+Inf" if bound == float("inf") else str(float(bound)), below))
        family.add_metric(label_values, buckets, one.total_seconds)
    return family


def summed(values: Labelled) -> list[tuple[tuple[str, ...], float]]:
    """Each combination of labels once: what has no label of its own shares one."""
    sums: dict[tuple[str, ...], float] = {}
    for label_values, value in values:
        key = tuple(label_values)
        sums[key] = sums.get(key, 0) + value
    return list(sums.items())
