"""A read from Kafka that has an end, and whose failure is a sentence on a page."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from relay.errors import RelayError, describe

T = TypeVar("T")


async def read_bounded(work: Coroutine[Any, Any, T], seconds: float) -> T | str:
    """Return the result of `work`, or the sentence that says why there is none."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        return f"Kafka did not answer within {seconds:g} s. Load the page again."
    except RelayError as error:
        return describe(error)
