"""What is to go wrong and when, drawn from a seed alone."""

import random
from collections.abc import Collection
from dataclasses import dataclass

PROCESS = {
    "kill": 6,
    "aimed kill": 8,
    "stop": 3,
    "freeze": 4,
    "aimed freeze": 4,
    "cut": 3,
    "refuse": 2,
    "hole": 2,
    "aimed hole": 3,
    "mute": 2,
    "aimed mute": 3,
    "slow": 2,
}
"""Of one process or of its wire, by how often they come."""
KAFKA = {"kafka kill": 3, "aimed kafka kill": 5, "kafka stop": 1, "lost tail": 2}
JIRA = {"429": 3, "503": 3, "resets": 3, "token": 3, "clock": 2}
OPERATOR = {"add": 2, "pause": 2, "modify": 2, "delete": 2, "two operators": 3}
SINK = {"sink 403": 2, "sink 429": 1, "sink 503": 1, "sink resets": 2, "no token": 1}

ASKED_FOR = {"lost tail"}
"""What Kafka had acknowledged is gone: more than a broker that is merely killed can do."""

KINDS = {**PROCESS, **KAFKA, **JIRA, **OPERATOR, **SINK}


@dataclass(frozen=True, slots=True)
class Event:
    """`at` seconds after the beginning. `target` and `how` choose among what there is, each from 0 to 1."""

    at: float
    kind: str
    target: float
    how: float
    seconds: float


def plan(seed: int, seconds: float, gap: float, kinds: Collection[str]) -> list[Event]:
    """Events about every `gap` seconds; each kind at least once, if there is time for that."""
    chance = random.Random(f"chaos {seed}")
    weighted = {kind: weight for kind, weight in KINDS.items() if kind in kinds}
    events: list[Event] = []
    at = chance.expovariate(1 / gap)
    due = chance.sample(sorted(weighted), len(weighted))
    while at < seconds:
        drawn = chance.choices(list(weighted), weights=list(weighted.values()))[0]
        kind = due.pop() if due and chance.random() < 0.5 else drawn
        events.append(Event(at, kind, chance.random(), chance.random(), _length(chance)))
        at += chance.expovariate(1 / gap)
    return events


def _length(chance: random.Random) -> float:
    """Mostly longer than a session of the group, often shorter, at times much shorter."""
    return chance.choice((chance.uniform(0.1, 1.5), chance.uniform(1.5, 6), chance.uniform(7, 13)))
