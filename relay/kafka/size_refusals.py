"""Refusals of records for their size, by topic."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from relay.kafka.producer import ProducerRecord


class SizeRefusedError(Exception):
    """A topic accepts no record or batch of this size."""

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self.topic = topic


def raise_refusal_of_size(
    records: Sequence[ProducerRecord], acknowledgements: Sequence["asyncio.Future[Any]"]
) -> None:
    """Raise SizeRefusedError if a topic refused a record for its size; ignore all other errors.

    Call it before other errors are raised: the batches after a refused one fail too, with errors that name another cause.
    """
    for record, acknowledgement in zip(records, acknowledgements, strict=True):
        if not acknowledgement.cancelled():
            error = acknowledgement.exception()
            if isinstance(error, (MessageSizeTooLargeError, RecordListTooLargeError)):
                raise SizeRefusedError(record.topic) from error
