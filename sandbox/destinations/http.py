"""A simulated receiver of webhooks, which takes native events as lines of JSON."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sandbox.destinations.contract import Comparison, DeliveredRow, SettingValue
from sandbox.destinations.files import write_secret
from sandbox.expected import JsonObject, native_row, row_differences
from simulators import faults
from simulators.fault_script import ScriptedFault
from simulators.http.receiver import HttpReceiver

MAX_ROW_BYTES = 999_999
"""Bytes left for one row in the largest request body, whose last byte ends the line."""


def compare_row(row: Mapping[str, Any], event: JsonObject) -> Comparison:
    """Compare a stored row with its event, as `DestinationPeer.compare` says."""
    return Comparison(*row_differences(native_row(event), row, MAX_ROW_BYTES, MAX_ROW_BYTES))


class HttpPeer:
    """A DestinationPeer before a simulated receiver."""

    keeps_one_copy = False
    members: Mapping[str, Sequence[str]] = {"id": ("id", "uid")}

    def __init__(self, receiver: HttpReceiver, headers_file: Path) -> None:
        self._receiver = receiver
        self._headers_file = headers_file

    @property
    def settings(self) -> Mapping[str, SettingValue]:
        return {
            "url": self._receiver.url(self.place(history=False)),
            "history_url": self._receiver.url(self.place(history=True)),
            "format": "ndjson",
            "headers_file": str(self._headers_file),
        }

    @property
    def environment(self) -> Mapping[str, str]:
        return {}

    def place(self, *, history: bool) -> str:
        return "history" if history else "live"

    def rows(self, *, history: bool, start: int = 0) -> Sequence[DeliveredRow]:
        stored = self._receiver.stored(self.place(history=history))
        return [DeliveredRow(row["organization"], row["id"], row, history) for row in stored[start:]]

    def compare(self, row: Mapping[str, Any], event: JsonObject) -> Comparison:
        return compare_row(row, event)

    def losses(self) -> Iterable[str]:
        return ()

    def refuse(self) -> tuple[ScriptedFault, str]:
        return self._receiver.fault(faults.respond_with(503), rate=1), "with 503"

    def clear_faults(self) -> None:
        self._receiver.clear_faults()


@asynccontextmanager
async def open_http(directory: Path) -> AsyncIterator[HttpPeer]:
    token = f"Bearer {secrets.token_urlsafe()}"
    headers_file = await asyncio.to_thread(write_secret, directory, "headers", f"Authorization: {token}")
    async with HttpReceiver(credential={"Authorization": token}) as receiver:
        yield HttpPeer(receiver, headers_file)
