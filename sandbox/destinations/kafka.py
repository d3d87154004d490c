"""A simulated broker of another Kafka cluster, which takes native events as JSON records."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sandbox.destinations.contract import Comparison, DeliveredRow, SettingValue
from sandbox.expected import JsonObject, native_row, row_differences
from simulators.kafka.broker import SimulatedKafka

MAX_ROW_BYTES = 1_000_000
UNKNOWN_SERVER_ERROR = -1


def compare_row(row: Mapping[str, Any], event: JsonObject) -> Comparison:
    """Compare the value of a record with its event, as `DestinationPeer.compare` says."""
    return Comparison(*row_differences(native_row(event), row, MAX_ROW_BYTES, MAX_ROW_BYTES))


class RefusedWrites:
    """The broker refuses each write; `cancel` ends this. `played` counts the writes that it refused."""

    def __init__(self, broker: SimulatedKafka) -> None:
        self._broker = broker
        self._before = broker.produced
        self._until: int | None = None
        broker.refuses_all = UNKNOWN_SERVER_ERROR

    @property
    def played(self) -> int:
        return (self._broker.produced if self._until is None else self._until) - self._before

    def cancel(self) -> None:
        """End the fault; a second call does nothing."""
        if self._until is None:
            self._until, self._broker.refuses_all = self._broker.produced, 0


class KafkaPeer:
    """A DestinationPeer before a simulated broker."""

    keeps_one_copy = False
    members: Mapping[str, Sequence[str]] = {"id": ("id", "uid")}

    def __init__(self, broker: SimulatedKafka) -> None:
        self._broker = broker
        self._fault: RefusedWrites | None = None

    @property
    def settings(self) -> Mapping[str, SettingValue]:
        return {
            "bootstrap_servers": self._broker.bootstrap,
            "topic": self.place(history=False),
            "history_topic": self.place(history=True),
            "compression": "gzip",
        }

    @property
    def environment(self) -> Mapping[str, str]:
        return {}

    def place(self, *, history: bool) -> str:
        return "jira-audit-json-history" if history else "jira-audit-json"

    def rows(self, *, history: bool, start: int = 0) -> Sequence[DeliveredRow]:
        stored = self._broker.stored(self.place(history=history))[start:]
        values = (json.loads(record.value or b"{}") for record in stored)
        return [DeliveredRow(value["organization"], value["id"], value, history) for value in values]

    def compare(self, row: Mapping[str, Any], event: JsonObject) -> Comparison:
        return compare_row(row, event)

    def losses(self) -> Iterable[str]:
        return ()

    def refuse(self) -> tuple[RefusedWrites, str]:
        self._fault = RefusedWrites(self._broker)
        return self._fault, "with UNKNOWN_SERVER_ERROR"

    def clear_faults(self) -> None:
        if self._fault is not None:
            self._fault.cancel()


@asynccontextmanager
async def open_kafka(_directory: Path) -> AsyncIterator[KafkaPeer]:
    async with SimulatedKafka() as broker:
        peer = KafkaPeer(broker)
        for history in (False, True):
            broker.add_topic(peer.place(history=history), partitions=3)
        yield peer
