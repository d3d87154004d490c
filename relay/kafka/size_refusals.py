"""Refusals of records for their size, by topic."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SizeRefusal:
    """A topic refused a size. `sent_bytes`: the largest batch or value that its producer may have sent to it."""

    topic: str
    sent_bytes: int


class SizeRefusedError(Exception):
    """A topic accepts no record or batch of this size."""

    def __init__(self, refusal: SizeRefusal) -> None:
        super().__init__(refusal.topic)
        self.refusal = refusal
