"""Catalogues of metrics: the declaration of a metric, its series, and the registry of a process.

Names are `jira_relay_<service>_<thing>[_<unit>][_total]`, by Prometheus' rules: base units, `_total` for counters, no
type in the name. tests/docs/test_metrics.py holds every catalogue to them.
"""

import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

M = TypeVar("M", bound=MetricWrapperBase)


@dataclass(frozen=True, slots=True)
class Label:
    """A label. `values`: all values it can have, if they are known; their counters begin at 0."""

    name: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Metric(Generic[M]):
    """One line of a catalogue. `buckets`: upper bounds, of a histogram alone."""

    kind: type[M]
    name: str
    help: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] | None = None

    def register(self, registry: CollectorRegistry) -> M:
        """Register it. Its counters and histograms without an unknown label begin at 0."""
        options: dict[str, Any] = {} if self.buckets is None else {"buckets": self.buckets}
        names = [label.name for label in self.labels]
        registered = self.kind(self.name, self.help, names, registry=registry, **options)
        if self.labels:
            self.start(registered, {})
        return registered

    def start(self, registered: M, subject: Mapping[str, str]) -> None:
        """Create the series of a subject at 0, so that `rate()` sees its first event.

        `subject` has the values of labels whose values are not known beforehand. A gauge has no value before its first
        measurement, and a metric with another unknown label has no series before its first event.
        """
        if self.kind is Gauge:
            return
        for values in self._series(subject):
            registered.labels(**values)

    def remove(self, registered: M, subject: Mapping[str, str], seen: Mapping[str, Iterable[str]]) -> None:
        """Remove the series of a subject, each by its name: a search would read those of all other subjects.

        `seen`: the values so far of labels whose values are not known beforehand. Without them it is a search.
        """
        if any(not label.values and label.name not in {*subject, *seen} for label in self.labels):
            registered.remove_by_labels(dict(subject))
            return
        for values in self._series(subject, seen):
            registered.remove(*values.values())

    def _series(
        self, subject: Mapping[str, str], seen: Mapping[str, Iterable[str]] = MappingProxyType({})
    ) -> Iterator[dict[str, str]]:
        known: dict[str, Iterable[str]] = {each.name: each.values for each in self.labels}
        known |= {name: values for name, values in seen.items() if name in known}
        known |= {name: (value,) for name, value in subject.items() if name in known}
        choices = known.values()
        for values in product(*choices):
            yield dict(zip((each.name for each in self.labels), values, strict=True))


class MetricSet:
    """The registered metrics of one catalogue."""

    def __init__(self, catalogue: Iterable[Metric[Any]], registry: CollectorRegistry) -> None:
        self._registered: dict[Metric[Any], Any] = {each: each.register(registry) for each in catalogue}

    def __getitem__(self, metric: Metric[M]) -> M:
        found: M = self._registered[metric]
        return found

    def start(self, **subject: str) -> None:
        """Create the series of a new subject (an organization, a flow of a destination) at 0."""
        for metric, registered in self._registered.items():
            if subject.keys() <= {label.name for label in metric.labels}:
                metric.start(registered, subject)

    def remove(self, seen: Mapping[str, Iterable[str]] = MappingProxyType({}), **subject: str) -> None:
        """Remove every series of a subject that is gone from this process. `seen`: as for `Metric.remove`."""
        for metric, registered in self._registered.items():
            if subject.keys() <= {label.name for label in metric.labels}:
                metric.remove(registered, subject, seen)

    def set_state(self, metric: Metric[Gauge], state: str, **subject: str) -> None:
        """Set the gauge of this state to 1 and those of all other states to 0."""
        (states,) = (label.values for label in metric.labels if label.name == "state")
        for each in states:
            self[metric].labels(state=each, **subject).set(each == state)


def open_registry(version: str, revision: str) -> CollectorRegistry:
    """Return the registry of a process, with its `jira_relay_build_info` and its use of memory, time and files.

    The names `process_…` and `python_info` are Prometheus' own. `_created` samples are off in the whole process: they
    double the series of every counter.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    build = Info(*BUILD_INFO, registry=registry)
    build.info({"version": version, "revision": revision, "python": platform.python_version()})
    return registry


BUILD_INFO = ("jira_relay_build", "Version and revision of the relay, and version of Python; always 1.")

__all__ = ["BUILD_INFO", "Counter", "Gauge", "Histogram", "Label", "Metric", "MetricSet", "open_registry"]
