"""Which trace something belongs to, in memory and as the header `traceparent` of a record.

Source: W3C Trace Context, "traceparent Header".
"""

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass

HEADER = "traceparent"
_FORM = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span of a trace, by its ids: 16 and 8 bytes. Its trace is recorded."""

    trace_id: bytes
    span_id: bytes

    def child(self) -> "TraceContext":
        """Return the context of a new span in this trace."""
        return TraceContext(self.trace_id, _new_id(8))

    @property
    def header(self) -> tuple[str, bytes]:
        """Return the header of a record that this span has sent."""
        return HEADER, f"00-{self.trace_id.hex()}-{self.span_id.hex()}-{_SAMPLED:02x}".encode()


def new_trace() -> TraceContext:
    """Return the first span of a new trace."""
    return TraceContext(_new_id(16), _new_id(8))


def parse_traceparent(value: bytes | None) -> TraceContext | None:
    """Return the context that a header names. None: its trace is not recorded, or it is no header of this form."""
    found = _FORM.fullmatch(value or b"")
    if found is None or not int(found[3], 16) & _SAMPLED:
        return None
    return TraceContext(bytes.fromhex(found[1].decode()), bytes.fromhex(found[2].decode()))


def context_in(headers: Iterable[tuple[str, bytes]]) -> TraceContext | None:
    """Return the context of a record. None: it has none."""
    return next((parse_traceparent(value) for name, value in headers if name == HEADER), None)


def _new_id(size: int) -> bytes:
    return random.randrange(1, 1 << 8 * size).to_bytes(size)
