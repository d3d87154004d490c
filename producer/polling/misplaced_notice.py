"""Which misplaced records a status names: those that were shown of late. Pure; times are ms."""

from collections.abc import Mapping

from producer.sources.window_result import WindowResult


class MisplacedNotice:
    """The records that the source shows in answers about another time.

    A record that is not shown any more for `kept_ms` is named no longer: the site was mended, or no window holds the
    record any more. It is at least the time between two re-reads, since a record may be shown by these alone.
    """

    def __init__(self, kept_ms: int) -> None:
        self._kept_ms = kept_ms
        self._created: dict[int, int] = {}
        self._shown: dict[int, int] = {}

    def add(self, result: WindowResult, now: int) -> list[int]:
        """Take a result. Return the ids of records that were not named before, ascending."""
        found = {event["id"]: event["created"] for event in result.misplaced}
        new = sorted(found.keys() - self._created.keys())
        self._created |= found
        self._shown |= dict.fromkeys(found, now)
        for gone in [one for one, shown in self._shown.items() if now - shown > self._kept_ms]:
            del self._created[gone], self._shown[gone]
        return new

    @property
    def records(self) -> Mapping[int, int]:
        """Return `created` of each record that is named, by id."""
        return self._created
