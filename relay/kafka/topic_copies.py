"""Copies of partitions that are missing or behind, and what follows from them. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

CopyState = Literal["under_replicated", "under_min_isr", "offline"]
"""Kafka's own terms: a copy is not in sync; too few are for a write; no broker leads, so reads fail too."""
COPY_STATES: tuple[CopyState, ...] = ("under_replicated", "under_min_isr", "offline")

_START = "Start {brokers}; replicas of a broker that is gone for good are moved with `kafka-reassign-partitions.sh`."


@dataclass(frozen=True, slots=True)
class PartitionCopies:
    """The copies of one partition, as ids of brokers. `leader`: -1 while no broker leads it."""

    number: int
    leader: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]

    @property
    def missing(self) -> frozenset[int]:
        """The brokers whose copy is not in sync; all of its brokers while none leads, since then nobody knows."""
        return frozenset(self.replicas) - (frozenset(self.in_sync) if self.leader != -1 else frozenset())

    def states(self, min_in_sync: int) -> frozenset[CopyState]:
        """Return the states that hold. `min_in_sync`: min.insync.replicas of its topic, 1 where Kafka does not report it."""
        if self.leader == -1:
            return frozenset(COPY_STATES)
        if not self.missing:
            return frozenset()
        short = len(self.in_sync) < min_in_sync
        return frozenset(COPY_STATES[:2]) if short else frozenset(COPY_STATES[:1])


def copy_problem(partitions: Iterable[PartitionCopies], min_in_sync: int) -> str | None:
    """Return what the missing copies of a topic cause and what to do; None: every copy is in sync.

    Topics that miss copies of the same brokers get the same text.
    """
    states = {each: each.states(min_in_sync) for each in partitions}
    short = [each for each, found in states.items() if found]
    if not short:
        return None
    brokers = _brokers(frozenset[int]().union(*(each.missing for each in short)))
    start = _START.format(brokers=brokers)
    if any("offline" in found for found in states.values()):
        return (
            f"No broker leads some of its partitions, so their records are neither written nor read. {start}"
        )
    behind = f"Copies on {brokers} are not in sync"
    if any("under_min_isr" in found for found in states.values()):
        return f"{behind}, so Kafka refuses writes (min.insync.replicas is {min_in_sync}). {start}"
    return f"{behind}, so the loss of another broker can stop writes. {start}"


def count_states(topics: Iterable[tuple[Sequence[PartitionCopies], int]]) -> Mapping[CopyState, int]:
    """Return the number of partitions in each state. `topics`: the copies, and min.insync.replicas, of each topic."""
    found = [state for copies, min_in_sync in topics for each in copies for state in each.states(min_in_sync)]
    return {state: found.count(state) for state in COPY_STATES}


def join_by_text(sentences: Iterable[tuple[str, str]]) -> list[str]:
    """Return each text once, after the names of the topics that share it."""
    names: dict[str, list[str]] = {}
    for name, text in sentences:
        names.setdefault(text, []).append(name)
    return [f"{', '.join(sharing)}: {text}" for text, sharing in names.items()]


def _brokers(ids: Collection[int]) -> str:
    first, *others = sorted(ids)
    if not others:
        return f"broker {first}"
    return f"brokers {', '.join(map(str, [first, *others[:-1]]))} and {others[-1]}"
