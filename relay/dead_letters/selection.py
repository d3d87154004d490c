"""Which dead letters an operator means."""

from dataclasses import dataclass

from relay.dead_letters.closings import LetterState
from relay.dead_letters.letter import DeadLetter, refused_by_live


@dataclass(frozen=True, slots=True)
class LetterSelection:
    """Conditions that a dead letter meets all of. None: any.

    `reason`: a part of the reason, in letters of any case. `from_ms` inclusive and `to_ms` exclusive: when it was written, in ms
    UTC. `by_producer`: whether a producer wrote it. `refused_by_live_of`: the name of the live topic, for events that live refused.
    """

    destination: str | None = None
    reason: str | None = None
    organizations: frozenset[str] = frozenset()
    """Empty: any, and those without one."""
    from_ms: int | None = None
    to_ms: int | None = None
    state: LetterState | None = None
    by_producer: bool | None = None
    refused_by_live_of: str | None = None

    @property
    def only_organization(self) -> str | None:
        """The organization whose partition alone has to be read; None: all partitions."""
        return next(iter(self.organizations)) if len(self.organizations) == 1 else None

    def keeps(self, letter: DeadLetter, state: LetterState) -> bool:
        return (
            self.state in {None, state}
            and self.destination in {None, letter.destination}
            and self.by_producer in {None, letter.destination is None}
            and (self.refused_by_live_of is None or refused_by_live(letter, self.refused_by_live_of))
            and (not self.organizations or letter.organization in self.organizations)
            and (self.reason is None or self.reason.casefold() in letter.reason.casefold())
            and (self.from_ms is None or letter.at >= self.from_ms)
            and (self.to_ms is None or letter.at < self.to_ms)
        )
