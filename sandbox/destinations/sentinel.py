"""Simulated Microsoft Sentinel: two tables behind a data collection rule."""

import random
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from sandbox.destinations.contract import Comparison, DeliveredRow, SettingValue
from sandbox.expected import JsonObject, row_differences, sentinel_row
from simulators.azure import faults as azure_faults
from simulators.azure.world import HISTORY, LIVE, AzureWorld
from simulators.fault_script import ScriptedFault

NO_CONTENT = 204
MAX_VALUE_BYTES = 64 * 1024
MAX_ROW_BYTES = 999_998
"""Bytes left for one row in the largest request body, whose array takes two brackets."""


def compare_row(row: Mapping[str, Any], event: JsonObject) -> Comparison:
    """Compare a stored row with its event, as `DestinationPeer.compare` says."""
    return Comparison(*row_differences(sentinel_row(event), row, MAX_VALUE_BYTES, MAX_ROW_BYTES))


class SentinelPeer:
    """A DestinationPeer before a simulated Azure."""

    members: Mapping[str, Sequence[str]] = {
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
    }

    def __init__(self, azure: AzureWorld) -> None:
        self._azure = azure

    @property
    def settings(self) -> Mapping[str, SettingValue]:
        return {
            "endpoint": self._azure.endpoint,
            "rule_id": self._azure.rule_id,
            "credential": "managed-identity",
        }

    @property
    def environment(self) -> Mapping[str, str]:
        return self._azure.environment()

    def place(self, *, history: bool) -> str:
        return HISTORY if history else LIVE

    def rows(self, *, history: bool, start: int = 0) -> Sequence[DeliveredRow]:
        unacknowledged = {
            call.request_id for call in self._azure.calls if call.stored and call.status != NO_CONTENT
        }
        return [
            DeliveredRow(
                arrival.row["Organization"],
                arrival.row["EventId"],
                arrival.row,
                history,
                arrival.request_id in unacknowledged,
            )
            for arrival in islice(self._azure.table(self.place(history=history)).stored_rows, start, None)
        ]

    def compare(self, row: Mapping[str, Any], event: JsonObject) -> Comparison:
        return compare_row(row, event)

    def losses(self) -> Iterable[str]:
        losses = self._azure.losses
        for how, columns in (
            ("the table has no such column", losses.dropped),
            ("the value does not fit the column's type", losses.nulled),
            ("the value is too long", losses.truncated),
        ):
            for column, count in columns.items():
                yield f"Sentinel silently lost {count} values of {column}: {how}."

    def refuse(self) -> tuple[ScriptedFault, str]:
        forbidden = azure_faults.forbidden(self._azure.rule_id)
        return self._azure.fault(forbidden, rate=1), "with 403, as if the relay had lost its role"

    def clear_faults(self) -> None:
        self._azure.clear_faults()


@asynccontextmanager
async def open_sentinel(_directory: Path) -> AsyncIterator[SentinelPeer]:
    async with AzureWorld(seed=random.getrandbits(32)) as azure:
        yield SentinelPeer(azure)
