"""Sessions that ended by a sign-out at this console, which are refused even while Kafka does not keep the sign-outs."""

from collections import OrderedDict

MOST = 10_000
"""Sign-outs that are kept in memory; the oldest leave first. Each needed a sign-in."""


class SignOuts:
    """The keys of the sessions, until their ends at least. Times are ms UTC."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._ends: OrderedDict[str, int] = OrderedDict()

    def add(self, key: str, ends: int, now_ms: int) -> None:
        """Keep a key until `ends`. Where there is no room, those that have ended leave, or else the oldest one."""
        if len(self._ends) >= self._most:
            self._ends = OrderedDict((each, end) for each, end in self._ends.items() if end > now_ms)
        if len(self._ends) >= self._most:
            self._ends.popitem(last=False)
        self._ends[key] = ends

    def __contains__(self, key: str) -> bool:
        return key in self._ends
