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
    """Raise a refusal of size before the errors that follow from it: the batches behind a refused one fail otherwise.

    Raises SizeRefusedError.
    """
    for record, acknowledgement in zip(records, acknowledgements, strict=True):
        if not acknowledgement.cancelled():
            error = acknowledgement.exception()
            if isinstance(error, (MessageSizeTooLargeError, RecordListTooLargeError)):
                raise SizeRefusedError(record.topic) from error
