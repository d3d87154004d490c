"""The metrics of several processes as those of one: what the alerts and dashboards read, whatever the number of processes.

Counters and histograms add up. A gauge is that of the process with the greatest value: the state that one of them is in, the
oldest event that one of them has not delivered. Memory adds up, since its limit is that of all. The start is that of the first
process: the service must not seem to start again when the others answer.
"""

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from prometheus_client.metrics_core import Metric

_ADDED_KINDS = ("counter", "histogram", "summary")
_ADDED_GAUGES = ("process_resident_memory_bytes", "process_virtual_memory_bytes")
_LEAST_GAUGES = ("process_start_time_seconds",)


class MergedMetrics:
    """The metrics of several processes, in the form in which an encoder reads a registry."""

    def __init__(self, processes: Iterable[Iterable[Metric]]) -> None:
        self._processes = processes

    def collect(self) -> Sequence[Metric]:
        """Return each family once, with the series of all processes, in the order in which they were first seen."""
        merged: dict[str, Metric] = {}
        values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
        for family in (each for process in self._processes for each in process):
            merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            series = values.setdefault(family.name, {})
            join = _how_to_join(family)
            for sample in family.samples:
                key = (sample.name, tuple(sample.labels.items()))
                series[key] = join(series[key], sample.value) if key in series else sample.value
        for name, family in merged.items():
            for (sample_name, labels), value in values[name].items():
                family.add_sample(sample_name, dict(labels), value)
        return list(merged.values())


def _how_to_join(family: Metric) -> Callable[[float, float], float]:
    if family.type in _ADDED_KINDS or family.name in _ADDED_GAUGES:
        return operator.add
    return min if family.name in _LEAST_GAUGES else max


def to_document(families: Iterable[Metric]) -> list[Any]:
    """Return families as a document of JSON."""
    return [
        [
            each.name,
            each.documentation,
            each.type,
            [[one.name, one.labels, one.value] for one in each.samples],
        ]
        for each in families
    ]


def from_document(document: Iterable[Any]) -> list[Metric]:
    """Return the families of such a document."""
    families = []
    for name, documentation, kind, samples in document:
        family = Metric(name, documentation, kind)
        for sample_name, labels, value in samples:
            family.add_sample(sample_name, labels, value)
        families.append(family)
    return families
