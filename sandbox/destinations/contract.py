"""The contract between a sandbox and the peer of a destination."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sandbox.expected import JsonObject

SettingValue = str | int | float


@dataclass(frozen=True, slots=True)
class DeliveredRow:
    """A row at a destination, and the record that it is of.

    `unacknowledged`: its sender got no answer, and had to send it again.
    """

    organization: str
    record_id: int
    row: Mapping[str, Any]
    history: bool
    unacknowledged: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """The names of the fields of a row whose values differ from the expected ones, and of those correctly truncated."""

    differing: Sequence[str] = ()
    truncated: Sequence[str] = ()


class ActiveFault(Protocol):
    """A fault that is being played. `played` counts the requests that met it."""

    @property
    def played(self) -> int: ...

    def cancel(self) -> None:
        """End the fault."""


class DestinationPeer(Protocol):
    """The peer of one destination: a simulator or a real store."""

    @property
    def settings(self) -> Mapping[str, SettingValue]:
        """The table `[destinations.NAME]` of the relay's settings."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Environment variables that the consumer needs to reach this peer."""

    @property
    def members(self) -> Mapping[str, Sequence[str]]:
        """The members of a row that a member of a Jira record fills; without an entry, the one of the same name."""

    @property
    def keeps_one_copy(self) -> bool:
        """Whether an event that its place has already is not stored there again."""

    def place(self, *, history: bool) -> str:
        """Return where rows of this flow are, as an operator names it: a table, an index, a path."""

    def rows(self, *, history: bool, start: int = 0) -> Sequence[DeliveredRow]:
        """Return the stored rows in the order of arrival, repeats included, from number `start` on."""

    def compare(self, row: Mapping[str, Any], event: JsonObject) -> Comparison:
        """Compare a row with its event: an `expected_event` with `collected` (ms UTC) and `mode`."""

    def losses(self) -> Iterable[str]:
        """Yield a sentence for each kind of value that the peer lost without an error."""

    def refuse(self) -> tuple[ActiveFault, str]:
        """Refuse every request from now on. Return the fault, and what it is as the end of a sentence."""

    def clear_faults(self) -> None:
        """End every fault."""


OpenPeer = Callable[[Path], AbstractAsyncContextManager[DestinationPeer]]
"""Run the peer of one destination; the path is a directory of its own, which does not exist yet."""
