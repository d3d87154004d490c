"""What a destination still has of a day, and the replay of exactly what it lacks. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from management.completeness.texts import MAX_NAMED_IDS, ids_text

SHOWN_EVENTS = 20
"""Events that the command of a finding names."""


@dataclass(frozen=True, slots=True)
class ReadBackDay:
    """What a destination said of the events of a day that it accepted.

    `asked`: how many. `missing`: uids that it lacks. `awaited`: how many it does not show that it may have accepted just now.
    `failure`: why it said nothing; None: it did.
    """

    asked: int = 0
    missing: Sequence[str] = ()
    awaited: int = 0
    failure: str | None = None

    @property
    def is_known(self) -> bool:
        return self.failure is None and not self.awaited

    def findings(self, name: str) -> list[str]:
        """Return a sentence for each departure, and the command that sends the missing events again."""
        found = []
        if self.failure is not None:
            found.append(f"{name} was not read back, so nothing is known of it: {self.failure}")
        if self.awaited:
            found.append(
                f"{name} does not show {self.awaited:,} events yet that it may have accepted less than an hour ago; ask again later."
            )
        if self.missing:
            found.append(
                f"{name} accepted {len(self.missing):,} events that it does not have: {ids_text([id_of_uid(uid) for uid in self.missing])}."
            )
            found.append(f"Send exactly these again: {replay_command(name, self.missing)}")
        return found

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        ids = [id_of_uid(uid) for uid in self.missing[:MAX_NAMED_IDS]]
        missing = {"count": len(self.missing), "ids": ids}
        return {"asked": self.asked, "missing": missing, "awaited": self.awaited, "failure": self.failure}


def replay_command(name: str, uids: Sequence[str]) -> str:
    """Return the command that replays these events to a destination; of many, those of the first part."""
    events = " ".join(f"--event {'/'.join(uid.split('/')[:2])}" for uid in uids[:SHOWN_EVENTS])
    more = len(uids) - SHOWN_EVENTS
    rest = f", then the other {more:,} in the same way" if more > 0 else ""
    return f"`jira-relay replay start --destination {name} {events}`{rest}."


def id_of_uid(uid: str) -> int:
    """Return the id of an event, from its EventUid."""
    return int(uid.split("/")[1])
