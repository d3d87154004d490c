"""Batches of dead letters that cannot be read, each named once, though the topic is read several times."""

from collections.abc import Callable

from relay.kafka.log_reader import CorruptBatchError


class CorruptLetters:
    """Collects the sentences on them; `texts` has each."""

    def __init__(self, on_new: Callable[[str], None] = lambda _: None) -> None:
        self._found: dict[tuple[str, int, int], str] = {}
        self._on_new = on_new

    @property
    def texts(self) -> list[str]:
        return list(self._found.values())

    def add(self, error: CorruptBatchError) -> None:
        place = (error.tp.topic, error.tp.partition, error.next_offset)
        if place not in self._found:
            self._found[place] = f"{error} Its dead letters are missing here."
            self._on_new(self._found[place])
