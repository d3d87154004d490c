"""The catalogue of the sources, one line each, their settings joined, and the choice among them.

The catalogue is no part of `producer.sources` itself: importing an error kind would then open every API's client.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from producer.config import ProducerConfig
from producer.events import Event, UnreadableRecord
from producer.sources.contract import (
    ConnectionTest,
    ConnectionTestResult,
    InputRules,
    Source,
    SourceFactory,
    SourceKind,
    SourceSetup,
)
from producer.sources.jira_cloud import JIRA_CLOUD
from producer.sources.jira_cloud.config import JiraCloudConfig
from relay.organizations import Organization


class ProducerSettings(JiraCloudConfig, ProducerConfig):
    """Polling of sources."""


SourceCatalogue = Mapping[str, SourceKind[ProducerSettings]]
"""mypy refuses a source whose settings `ProducerSettings` does not extend."""

SOURCES: Final[SourceCatalogue] = {
    "jira-cloud": JIRA_CLOUD,
}
"""Kind: how to open it, for a producer and for an operator. Producer, management and the contract suite read this catalogue."""


def source_name(organization: Organization) -> str:  # noqa: ARG001
    """Return the name of an organization's source. Decision 20: `Organization.source`, once there is a second one."""
    return next(iter(SOURCES))


def input_rules() -> InputRules:
    """Return the rules for an operator's input: those of the only source, until the operator names one."""
    return next(iter(SOURCES.values())).input_rules


def parse_record(raw: bytes, organization: Organization) -> Event | UnreadableRecord:
    """Return the event of the record of a dead letter, as the organization's source reads it in this release. Pure."""
    return SOURCES[source_name(organization)].parse_record(raw, organization.name)


class OpenSources:
    """The opened sources of a process, as one factory."""

    def __init__(self, factories: Mapping[str, SourceFactory], choose: Callable[[Organization], str]) -> None:
        self._factories = factories
        self._choose = choose

    def source_for(self, organization: Organization) -> Source:
        return self._factories[self._choose(organization)].source_for(organization)

    def remove(self, organization: str) -> None:
        for factory in self._factories.values():
            factory.remove(organization)


@asynccontextmanager
async def open_sources(
    setup: SourceSetup[ProducerSettings],
    catalogue: SourceCatalogue = SOURCES,
    choose: Callable[[Organization], str] = source_name,
) -> AsyncIterator[OpenSources]:
    """Open every source of the catalogue, and close them in the end. `choose` names the source of an organization."""
    async with AsyncExitStack() as stack:
        factories = {
            name: await stack.enter_async_context(kind.open(setup)) for name, kind in catalogue.items()
        }
        yield OpenSources(factories, choose)


class OpenConnectionTests:
    """The opened connection tests of a command, as one."""

    def __init__(self, tests: Mapping[str, ConnectionTest], choose: Callable[[Organization], str]) -> None:
        self._tests = tests
        self._choose = choose

    def check_url(self, organization: Organization) -> None:
        self._tests[self._choose(organization)].check_url(organization)

    async def run(
        self, organization: Organization, key: str | None, *, new_key: bool = False
    ) -> ConnectionTestResult:
        return await self._tests[self._choose(organization)].run(organization, key, new_key=new_key)


@asynccontextmanager
async def open_connection_test(
    config: ProducerSettings,
    catalogue: SourceCatalogue = SOURCES,
    choose: Callable[[Organization], str] = source_name,
) -> AsyncIterator[ConnectionTest]:
    """Open the connection test of every source of the catalogue, and close them in the end. `choose` as for `open_sources`."""
    async with AsyncExitStack() as stack:
        tests = {
            name: await stack.enter_async_context(kind.open_connection_test(config))
            for name, kind in catalogue.items()
        }
        yield OpenConnectionTests(tests, choose)
