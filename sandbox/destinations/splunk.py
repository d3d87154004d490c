"""A simulated HTTP Event Collector of Splunk."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sandbox.destinations.contract import Comparison, DeliveredRow, SettingValue
from sandbox.destinations.files import write_secret
from sandbox.expected import JsonObject, native_row, row_differences
from simulators import faults
from simulators.fault_script import ScriptedFault
from simulators.splunk.collector import HecCollector, Token

MAX_VALUE_BYTES = 64 * 1024
MAX_ROW_BYTES = 1_000_000


def compare_row(row: Mapping[str, Any], event: JsonObject) -> Comparison:
    """Compare a stored event with its event in Kafka, as `DestinationPeer.compare` says."""
    return Comparison(*row_differences(native_row(event), row, MAX_VALUE_BYTES, MAX_ROW_BYTES))


class SplunkPeer:
    """A DestinationPeer before a simulated collector."""

    keeps_one_copy = False
    members: Mapping[str, Sequence[str]] = {"id": ("id", "uid")}

    def __init__(self, collector: HecCollector, token_file: Path) -> None:
        self._collector = collector
        self._token_file = token_file

    @property
    def settings(self) -> Mapping[str, SettingValue]:
        return {
            "endpoint": self._collector.url,
            "token_file": str(self._token_file),
            "index": self.place(history=False),
            "history_index": self.place(history=True),
        }

    @property
    def environment(self) -> Mapping[str, str]:
        return {}

    def place(self, *, history: bool) -> str:
        return "jira_history" if history else "jira"

    def rows(self, *, history: bool, start: int = 0) -> Sequence[DeliveredRow]:
        stored = (each["event"] for each in self._collector.stored(self.place(history=history))[start:])
        return [DeliveredRow(event["organization"], event["id"], event, history) for event in stored]

    def compare(self, row: Mapping[str, Any], event: JsonObject) -> Comparison:
        return compare_row(row, event)

    def losses(self) -> Iterable[str]:
        return ()

    def refuse(self) -> tuple[ScriptedFault, str]:
        busy = faults.respond_with(
            503, b'{"text":"Server is busy","code":9}', content_type="application/json"
        )
        return self._collector.fault(busy, rate=1), "with 503, as if its queues were full"

    def clear_faults(self) -> None:
        self._collector.clear_faults()


@asynccontextmanager
async def open_splunk(directory: Path) -> AsyncIterator[SplunkPeer]:
    token = str(uuid.uuid4())
    token_file = await asyncio.to_thread(write_secret, directory, "token", token)
    async with HecCollector({token: Token()}) as collector:
        yield SplunkPeer(collector, token_file)
