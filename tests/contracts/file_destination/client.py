"""The client of a spool directory: one call, one write. The files of the directory decide about the answer.

- `token` is the password. `busy` holds seconds to wait. `small` holds the largest number of lines. `closed` rejects every line.
- `rejected` and `throttled` name rows by uid; a row in `throttled` is taken out of it when it was named in an answer.
- While `hold-before` or `hold-after` exists, a call waits before or after its write.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import orjson

from consumer.destinations.outcome import Outcome, Partial, Retry, Sent
from tests.contracts.file_destination.config import FileConfig
from tests.contracts.file_destination.response import classify

POLL_SECONDS = 0.01


class SpoolClient:
    """Writes to the files of one spool directory; raises nothing but CancelledError."""

    def __init__(self, name: str, config: FileConfig, timeout_seconds: float) -> None:
        self._name = name
        self._directory = Path(config.directory)
        self._token = config.token.get_secret_value()
        self._timeout_seconds = timeout_seconds

    async def append(self, file: str, content: bytes) -> Outcome:
        """Append lines. After a Retry they may be in the file nevertheless."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._held("hold-before")
                outcome = self._append(file, content)
                await self._held("hold-after")
                return outcome
        except TimeoutError:
            return Retry(f"{self._directory} did not answer within {self._timeout_seconds:g} s.")
        except Exception as error:  # noqa: BLE001 - each fault is an outcome that names it
            return Retry(f"{self._directory} could not be written: {type(error).__name__}: {error}")

    async def _held(self, name: str) -> None:
        while (self._directory / name).exists():
            await asyncio.sleep(POLL_SECONDS)

    def _append(self, file: str, content: bytes) -> Outcome:
        lines = content.splitlines()
        if self._read("token") != self._token:
            return classify(401, self._name)
        if wait := self._read("busy"):
            return classify(503, self._name, float(wait))
        if (small := self._read("small")) and len(lines) > int(small):
            return classify(413, self._name)
        if (self._directory / "closed").exists() and lines:
            return classify(400, self._name)
        return self._append_by_row(file, lines)

    def _append_by_row(self, file: str, lines: Sequence[bytes]) -> Outcome:
        bad, throttled = set(self._read("rejected").split()), self._read("throttled").split()
        uids = [orjson.loads(line)["uid"] for line in lines]
        rejected = {index: f"{uid} is rejected" for index, uid in enumerate(uids) if uid in bad}
        retry = frozenset(index for index, uid in enumerate(uids) if uid in throttled)
        left = [uid for uid in throttled if uid not in uids]
        if retry:
            (self._directory / "throttled").write_text("\n".join(left))
        with (self._directory / file).open("ab") as spool:
            spool.writelines(
                line + b"\n" for index, line in enumerate(lines) if index not in rejected.keys() | retry
            )
        return Partial(rejected, retry, 0.01, 207) if rejected or retry else Sent()

    def _read(self, name: str) -> str:
        path = self._directory / name
        return path.read_text("utf-8") if path.exists() else ""
