"""Ask a broker for its topics, with a Metadata request of version 1 in Kafka's own protocol."""

import asyncio
import struct

_METADATA, _VERSION, _CORRELATION = 3, 1, 7
_ALL_TOPICS = -1
_REQUEST = struct.pack(">hhihi", _METADATA, _VERSION, _CORRELATION, -1, _ALL_TOPICS)


async def is_ready(host: str, port: int) -> bool:
    """Return whether the broker is registered in its cluster and every partition has a leader.

    Raises OSError or EOFError if the broker does not answer.
    """
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(struct.pack(">i", len(_REQUEST)) + _REQUEST)
        size = struct.unpack(">i", await reader.readexactly(4))[0]
        return parse_metadata_response(await reader.readexactly(size), port)
    finally:
        writer.close()


def parse_metadata_response(answer: bytes, port: int) -> bool:
    """Return whether the broker of this port is listed and every partition has a leader."""
    fields = _FieldReader(answer)
    fields.number("i")
    ports = [_broker_port(fields) for _ in range(fields.number("i"))]
    fields.number("i")
    leaders = [leader for _ in range(fields.number("i")) for leader in _leaders(fields)]
    return port in ports and -1 not in leaders


def _broker_port(fields: "_FieldReader") -> int:
    fields.number("i")
    fields.skip_text()
    port = fields.number("i")
    fields.skip_text()
    return port


def _leaders(fields: "_FieldReader") -> list[int]:
    fields.number("h")
    fields.skip_text()
    fields.number("b")
    return [_leader(fields) for _ in range(fields.number("i"))]


def _leader(fields: "_FieldReader") -> int:
    fields.number("h")
    fields.number("i")
    leader = fields.number("i")
    for _replicas in ("all", "in sync"):
        for _ in range(fields.number("i")):
            fields.number("i")
    return leader


class _FieldReader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, kind: str) -> int:
        value: int
        (value,) = struct.unpack_from(f">{kind}", self._data, self._at)
        self._at += struct.calcsize(f">{kind}")
        return value

    def skip_text(self) -> None:
        """Skip a string, which may be null (length -1)."""
        length = self.number("h")
        self._at += max(0, length)
