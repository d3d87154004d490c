"""The plan of a round: which fault begins when, drawn from a seed alone."""

import random
from collections.abc import Collection
from dataclasses import dataclass

PROCESS_KINDS = {
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
"""Faults of one process or of its connection to Kafka, with their weights."""
CHILD_KINDS = {"child kill": 6, "child freeze": 4}
"""Faults of the second process of a consumer."""
KAFKA_KINDS = {"kafka kill": 3, "aimed kafka kill": 5, "kafka stop": 1, "lost tail": 2}
CLUSTER_KINDS = {"two brokers": 3, "all brokers": 1, "rolling restart": 2}
"""Faults of a Kafka of three brokers. Unless controllers are apart, two that are gone take the quorum along, so nothing is led."""
CONTROLLER_KINDS = {"controller kill": 2, "unclean election": 1}
"""Faults of a Kafka of three brokers whose controllers are apart."""
JIRA_KINDS = {"429": 3, "503": 3, "resets": 3, "token": 3, "clock": 2}
OPERATOR_KINDS = {"add": 2, "pause": 2, "modify": 2, "delete": 2, "two operators": 3}
SINK_KINDS = {"sink 403": 2, "sink 429": 1, "sink 503": 1, "sink resets": 2, "no token": 1}

OPT_IN_KINDS = {"lost tail", "unclean election"}
"""Faults beyond a killed broker: Kafka loses records that it acknowledged. Changes of operators can be among them."""

SINGLE_BROKER_KINDS = {"lost tail"}
"""Faults that a second copy heals."""

ALL_KAFKA_KINDS = {**KAFKA_KINDS, **CLUSTER_KINDS, **CONTROLLER_KINDS}
KINDS = {**PROCESS_KINDS, **CHILD_KINDS, **ALL_KAFKA_KINDS, **JIRA_KINDS, **OPERATOR_KINDS, **SINK_KINDS}


@dataclass(frozen=True, slots=True)
class PlannedDisturbance:
    """A fault that begins `at` seconds after the start and lasts `seconds`.

    `target` and `variant`, in [0, 1), select the process or organization, and the form of the fault.
    """

    at: float
    kind: str
    target: float
    variant: float
    seconds: float


def impossible_kinds(brokers: int, *, controllers_apart: bool, processes: int = 1) -> set[str]:
    """Return the faults that such a Kafka, and a consumer of so many processes, cannot have."""
    without_child = CHILD_KINDS if processes == 1 else ()
    if brokers == 1:
        return {*CLUSTER_KINDS, *CONTROLLER_KINDS, *without_child}
    return {*SINGLE_BROKER_KINDS, *(() if controllers_apart else CONTROLLER_KINDS), *without_child}


def plan_disturbances(
    seed: int, seconds: float, gap: float, kinds: Collection[str]
) -> list[PlannedDisturbance]:
    """Plan a fault about every `gap` seconds, and each kind at least once if the time suffices."""
    rng = random.Random(f"chaos {seed}")
    weighted = {kind: weight for kind, weight in KINDS.items() if kind in kinds}
    disturbances: list[PlannedDisturbance] = []
    at = rng.expovariate(1 / gap)
    pending_kinds = rng.sample(sorted(weighted), len(weighted))
    while at < seconds:
        drawn = rng.choices(list(weighted), weights=list(weighted.values()))[0]
        kind = pending_kinds.pop() if pending_kinds and rng.random() < 0.5 else drawn
        disturbances.append(PlannedDisturbance(at, kind, rng.random(), rng.random(), _draw_duration(rng)))
        at += rng.expovariate(1 / gap)
    return disturbances


def _draw_duration(rng: random.Random) -> float:
    """Draw seconds: longer than a session of the group, shorter, or much shorter, with equal chance."""
    return rng.choice((rng.uniform(0.1, 1.5), rng.uniform(1.5, 6), rng.uniform(7, 13)))
