"""The peer of one kind of destination, as the contract suite drives it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from consumer.destinations.outcome import Partial

ROUTED_ORGANIZATION = "routed.atlassian.net"


@dataclass(frozen=True)
class Answer:
    """One answer of the peer: `play` prepares it for the next request, `over` ends it."""

    outcome: type
    play: Callable[[], Any]
    over: Callable[[], Any] = lambda: None


@dataclass(frozen=True)
class Absent:
    """A fault that no peer of the kind can have, and the reason: the claims that need the fault are skipped with it.

    `peer_faults.py` refuses it for a kind that has the fault.
    """

    reason: str


@dataclass(frozen=True)
class Peer:
    """The peer's state and its faults; each fault takes effect with the next request."""

    config: Any
    """Settings of the kind that are valid for this peer."""
    stored: Callable[[], list[str]]
    """The uid of every row of the live flow, in the order of their arrival, repeats included."""
    stored_history: Callable[[], list[str]]
    """The same of the history flow; always empty for a kind that takes no history."""
    reject: Callable[[str], Any] | Absent
    """Reject the row of this uid for ever, or each body that holds it where answers name no rows."""
    hold: Callable[[], Callable[[], Any]]
    """Hold requests before they have an effect; returns how to let them go on."""
    lose_answer: Callable[[], Callable[[], Any]]
    """Obey requests and do not answer; returns how to answer again."""
    break_credential: Callable[[], Callable[[], Any]] | Absent
    """Make the credential wrong, so that `send` and `probe` return Paused; returns how to repair it."""
    answers: Mapping[str, Answer]
    """Every answer that the kind's page lists, and at least one for each outcome that the kind has.

    Rows 0, 1 and 2 are sent to each. A kind whose answers name rows has "some throttled", which names row 1 to retry, once.
    """
    stored_by_route: Callable[[str | None], list[str]] | None = None
    """The same as `stored`, for one route of the live flow; None as route: rows without one.

    None: the kind has no setting `by_organization`. Otherwise `config` gives ROUTED_ORGANIZATION a route in it.
    """
    retries_rows: bool = True
    """Whether answers that name rows may name a row to retry although they accept the others; else only those behind a rejected one."""

    stored_replay: Callable[[str], list[str]] | None = None
    """The same as `stored_history`, for the replay of this id; None: rows of a replay are beside those of history."""

    @property
    def by_row(self):
        """Whether answers name rows."""
        return any(answer.outcome is Partial for answer in self.answers.values())
