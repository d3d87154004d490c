"""The targets of a flow: data streams, or indices of months, by organization."""

from collections.abc import Mapping
from dataclasses import dataclass

from consumer.destinations.elasticsearch import rows
from consumer.destinations.elasticsearch.config import Layout


@dataclass(frozen=True, slots=True)
class TargetName:
    """The name of a data stream, or the beginning of the names of month indices."""

    name: str
    layout: Layout

    @property
    def pattern(self) -> str:
        """The names that a search or a privilege concerns."""
        return self.name if self.layout == "data-stream" else f"{self.name}-*"


@dataclass(frozen=True, slots=True)
class FlowTargets:
    """Where the documents of a flow go: by organization, and those of all others. Names, or the beginnings of month indices."""

    layout: Layout
    name: str
    by_organization: Mapping[str, str]

    def named(self, route: str | None) -> TargetName:
        return TargetName(route or self.name, self.layout)

    @property
    def all(self) -> tuple[TargetName, ...]:
        return tuple(map(self.named, dict.fromkeys((self.name, *self.by_organization.values()))))

    @property
    def months(self) -> rows.MonthIndices | None:
        """None: a request's URL names its target."""
        return None if self.layout == "data-stream" else rows.MonthIndices(self.name, self.by_organization)
