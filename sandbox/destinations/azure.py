"""Simulated Azure as the peer of destinations that send to a data collection rule: two tables, one for each stream."""

import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from sandbox.destinations.contract import Comparison, DeliveredRow, SettingValue
from sandbox.expected import JsonObject
from simulators.azure import faults as azure_faults
from simulators.azure.world import AzureWorld
from simulators.fault_script import ScriptedFault

NO_CONTENT = 204
MAX_VALUE_BYTES = 64 * 1024
MAX_ROW_BYTES = 999_998
"""Bytes left for one row in the largest request body, whose array takes two brackets."""

_RUNNING: dict[Path, AzureWorld] = {}
"""The simulated Azure of each sandbox that runs in this process."""


@dataclass(frozen=True, slots=True)
class RuleTables:
    """One kind of destination at a rule: its streams, its tables and its rows."""

    kind: str
    name: str
    """As messages name it."""
    streams: frozenset[str]
    live: str
    history: str
    members: Mapping[str, Sequence[str]]
    """As `DestinationPeer.members`."""
    record: Callable[[Mapping[str, Any]], tuple[str, int]]
    """Return organization and record id of a row."""
    compare: Callable[[Mapping[str, Any], JsonObject], Comparison]


class RulePeer:
    """A DestinationPeer before a simulated Azure."""

    keeps_one_copy = False

    def __init__(self, azure: AzureWorld, tables: RuleTables) -> None:
        self._azure = azure
        self._tables = tables
        self._faults: list[ScriptedFault] = []

    @property
    def members(self) -> Mapping[str, Sequence[str]]:
        return self._tables.members

    @property
    def settings(self) -> Mapping[str, SettingValue]:
        return {
            "kind": self._tables.kind,
            "endpoint": self._azure.endpoint,
            "rule_id": self._azure.rule_id,
            "credential": "managed-identity",
        }

    @property
    def environment(self) -> Mapping[str, str]:
        return self._azure.environment()

    def place(self, *, history: bool) -> str:
        return self._tables.history if history else self._tables.live

    def rows(self, *, history: bool, start: int = 0) -> Sequence[DeliveredRow]:
        unacknowledged = {
            call.request_id for call in self._azure.calls if call.stored and call.status != NO_CONTENT
        }
        return [
            DeliveredRow(
                *self._tables.record(arrival.row),
                arrival.row,
                history,
                arrival.request_id in unacknowledged,
            )
            for arrival in islice(self._azure.table(self.place(history=history)).stored_rows, start, None)
        ]

    def compare(self, row: Mapping[str, Any], event: JsonObject) -> Comparison:
        return self._tables.compare(row, event)

    def losses(self) -> Iterable[str]:
        losses = self._azure.losses
        for how, columns in (
            ("the table has no such column", losses.dropped),
            ("the value does not fit the column's type", losses.nulled),
            ("the value is too long", losses.truncated),
        ):
            for column, count in columns.items():
                if column.partition(".")[0] in {self._tables.live, self._tables.history}:
                    yield f"{self._tables.name} silently lost {count} values of {column}: {how}."

    def refuse(self) -> tuple[ScriptedFault, str]:
        forbidden = azure_faults.forbidden(self._azure.rule_id)
        fault = self._azure.fault(
            forbidden, rate=1, only=lambda request: request.match_info["stream"] in self._tables.streams
        )
        self._faults.append(fault)
        return fault, "with 403, as if the relay had lost its role"

    def clear_faults(self) -> None:
        while self._faults:
            self._faults.pop().cancel()


@asynccontextmanager
async def azure_of_sandbox(directory: Path) -> AsyncIterator[AzureWorld]:
    """Run simulated Azure, one for all destinations of a sandbox: a consumer has the variables of one identity.

    `directory` is that of a destination, in the directory of its sandbox. The peer that opens first must close last.
    """
    sandbox = directory.parent
    if sandbox in _RUNNING:
        yield _RUNNING[sandbox]
        return
    async with AzureWorld(seed=random.getrandbits(32), parameters={"asim": True}) as azure:
        _RUNNING[sandbox] = azure
        try:
            yield azure
        finally:
            del _RUNNING[sandbox]
