from collections.abc import Iterator, Mapping

from relay.status.model import Status
from sandbox.view import printable

_TOLD_OF = ("producer/", "destination/")
_USUAL = {"active", "running", "starting"}


class Narrator:
    """Turns what the status board shows into sentences, each change once."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}

    def changes(self, statuses: Mapping[str, Status]) -> Iterator[str]:
        for key, status in statuses.items():
            before, self._states[key] = self._states.get(key, "active"), status.state
            if not key.startswith(_TOLD_OF) or status.state == before or {status.state, before} <= _USUAL:
                continue
            name = key.partition("/")[2]
            reason = printable(status.reason or "").removeprefix(f"{name}: ")
            yield f"        {name} is {status.state}{': ' if reason else ''}{reason}"
