"""Simulated Microsoft Sentinel: the tables of Microsoft's own Jira solution, and history."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sandbox.destinations.azure import (
    MAX_ROW_BYTES,
    MAX_VALUE_BYTES,
    RulePeer,
    RuleTables,
    azure_of_sandbox,
)
from sandbox.destinations.contract import Comparison
from sandbox.expected import JsonObject, row_differences, sentinel_row
from simulators.azure.world import HISTORY, LIVE, AzureWorld


def compare_row(row: Mapping[str, Any], event: JsonObject) -> Comparison:
    """Compare a stored row with its event, as `DestinationPeer.compare` says."""
    return Comparison(*row_differences(sentinel_row(event), row, MAX_VALUE_BYTES, MAX_ROW_BYTES))


TABLES = RuleTables(
    kind="sentinel",
    name="Sentinel",
    streams=frozenset({AzureWorld.stream, AzureWorld.history_stream}),
    live=LIVE,
    history=HISTORY,
    members={
        "id": ("EventId", "EventUid"),
        "created": ("EventCreationTime",),
        "summary": ("EventMessage",),
        "description": ("EventDescription",),
        "category": ("EventCategoryType",),
        "eventSource": ("EventSource",),
        "remoteAddress": ("SrcIpAddr",),
        "authorKey": ("UserName",),
        "authorAccountId": ("UserSid",),
        "objectItem": (
            "objectItem",
            "ObjectItemId",
            "ObjectItemName",
            "ObjectItemTypeName",
            "ObjectItemParentId",
            "ObjectItemParentName",
        ),
        "changedValues": ("ChangedValues",),
        "associatedItems": ("AssociatedItems",),
    },
    record=lambda row: (row["Organization"], row["EventId"]),
    compare=compare_row,
)


@asynccontextmanager
async def open_sentinel(directory: Path) -> AsyncIterator[RulePeer]:
    async with azure_of_sandbox(directory) as azure:
        yield RulePeer(azure, TABLES)
