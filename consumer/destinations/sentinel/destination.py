"""One stream of a data collection rule as a destination."""

from collections.abc import Sequence

from consumer.destinations.outcome import Outcome
from consumer.destinations.sentinel import rows
from consumer.destinations.sentinel.client import IngestionClient


class SentinelDestination:
    """Sends to one stream of a rule."""

    def __init__(self, client: IngestionClient, stream: str) -> None:
        self._client = client
        self._stream = stream

    def body(self, encoded: Sequence[bytes]) -> bytes:
        return rows.encode_body(encoded)

    async def send(self, body: bytes) -> Outcome:
        return await self._client.send(self._stream, body)
