"""The sources there are, one line each, and the choice among them.

The table is no part of `producer.sources` itself: importing an error kind would then open every API's client.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from producer.sources.contract import Source, SourceFactory, SourceSetup, SourceTable
from producer.sources.jira_cloud.factory import open_jira_cloud
from relay.organizations import Organization

JIRA_CLOUD: Final = "jira-cloud"

SOURCES: Final[SourceTable] = {
    JIRA_CLOUD: open_jira_cloud,
}


def source_name(organization: Organization) -> str:  # noqa: ARG001
    """Return the name of an organization's source. Decision 20: `Organization.source`, once there is a second one."""
    return JIRA_CLOUD


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
    setup: SourceSetup,
    table: SourceTable = SOURCES,
    choose: Callable[[Organization], str] = source_name,
) -> AsyncIterator[OpenSources]:
    """Open every source of the table, and close them in the end. `choose` names the source of an organization."""
    async with AsyncExitStack() as stack:
        factories = {
            name: await stack.enter_async_context(open_source(setup)) for name, open_source in table.items()
        }
        yield OpenSources(factories, choose)
