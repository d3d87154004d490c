"""A failure of a read is a sentence, also one that the error itself has no words for."""

import asyncio

from management.bounded_read import read_bounded
from relay.errors import RelayError


async def test_a_read_gives_its_result_or_the_reason_why_there_is_none():
    async def read(answer):
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert await read_bounded(read(7), 60) == 7
    assert await read_bounded(read(RelayError("Kafka is away.")), 60) == "Kafka is away."
    assert await read_bounded(read(None), 0.01) == "Kafka did not answer within 0.01 s. Load the page again."
