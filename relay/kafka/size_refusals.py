"""Refusals of records for their size, by topic."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from relay.kafka.producer import ProducerRecord


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


def raise_refusal_of_size(
    records: Sequence[ProducerRecord], acknowledgements: Sequence["asyncio.Future[Any]"], max_batch_bytes: int
) -> None:
    """Raise SizeRefusedError if a topic refused a record for its size; ignore all other errors.

    `max_batch_bytes`: largest batch that the producer makes of several records.
    Call it before other errors are raised: the batches after a refused one fail too, with errors that name another cause.
    """
    for record, acknowledgement in zip(records, acknowledgements, strict=True):
        if not acknowledgement.cancelled():
            error = acknowledgement.exception()
            if isinstance(error, (MessageSizeTooLargeError, RecordListTooLargeError)):
                sizes = [len(one.value or b"") for one in records if one.topic == record.topic]
                raise SizeRefusedError(SizeRefusal(record.topic, max(max_batch_bytes, *sizes))) from error
