"""A cache of results by text that no long text can fill."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

T = TypeVar("T")

MAX_CACHED_CHARS = 200


def cache_short_texts(size: int) -> Callable[[Callable[[str], T]], Callable[[str], T]]:
    """Remember the results for the last `size` texts of at most 200 characters. The function must be pure.

    A longer text is worked out each time: a record may hold a text of a megabyte, and thousands of them would fill the memory.
    """

    def decorate(function: Callable[[str], T]) -> Callable[[str], T]:
        cached = lru_cache(size)(function)

        @wraps(function)
        def call(text: str) -> T:
            return cached(text) if len(text) <= MAX_CACHED_CHARS else function(text)

        return call

    return decorate
