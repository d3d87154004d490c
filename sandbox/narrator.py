"""Lines about changes of an organization's or destination's state."""

from collections.abc import Iterator, Mapping

from relay.status.model import Status
from sandbox.view import escape_controls

_REPORTED_PREFIXES = ("producer/", "destination/")
_NORMAL_STATES = {"active", "running", "starting"}


class StatusNarrator:
    """Turns the states of the status topic into sentences, one for each change."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}

    def describe_changes(self, statuses: Mapping[str, Status]) -> Iterator[str]:
        """Yield a line for each state that changed since the last call, with its reason."""
        for key, status in statuses.items():
            before, self._states[key] = self._states.get(key, "active"), status.state
            if (
                not key.startswith(_REPORTED_PREFIXES)
                or status.state == before
                or {status.state, before} <= _NORMAL_STATES
            ):
                continue
            name = key.partition("/")[2]
            reason = escape_controls(status.reason or "").removeprefix(f"{name}: ")
            yield f"        {name} is {status.state}{': ' if reason else ''}{reason}"
