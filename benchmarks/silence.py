"""Measure how well the learned expectation of silence knows an outage from a quiet time.

    .venv/bin/python benchmarks/silence.py [--rhythms further] [--organizations 14] [--seeds 31 32 33 34 35]

Weeks of simulated sites: offices of three continents with daylight saving, public holidays, a shutdown at the end of the year and
holidays of their own; worldwide teams, robots, growing and shrinking sites, sites with three events a month. Half of them have one outage
each, in which their feed answers and shows nothing. It needs no Kafka and no clock.
"""

import argparse
import bisect
import itertools
import math
import random
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from producer.silence.expectation import silence_probability
from producer.silence.judge import LEARNING_MS, UNLIKELY
from producer.silence.rhythm import WeeklyRhythm, learn_rhythm
from producer.state.active_hours import HOURS_KEPT, ActiveHours
from relay.timestamps import HOUR_MS

WEEKS = 52
LEARNING_HOURS = LEARNING_MS // HOUR_MS
SHORTEST_HOURS = 4
"""No site is regular enough that less would be unlikely."""
FIRST_HOUR = 490_896  # Thursday, 1 January 2026
OUTAGE_DAYS = (0.5, 1, 2, 4, 7, 14, 28)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of site. `hourly`: clusters of events an hour, by local hour of the week from Monday on, at the usual level."""

    name: str
    hourly: Sequence[float]
    zone: int = 0
    saving: bool = False
    """Whether its clocks change by an hour in summer."""
    holidays: bool = False
    growth: float = 1.0
    """The factor by which its level changes in a year."""
    step: float = 1.0
    """The factor by which its level changes at once in the middle of the year."""
    restless: float = 4.0
    """Shape of the gamma distribution of the level of a day; infinite would be always the same."""


def office(rate: float, evening: float = 0.0, weekend: float = 0.0) -> list[float]:
    hours = []
    for day, hour in itertools.product(range(7), range(24)):
        busy = 9 <= hour < 18
        if day >= 5:
            hours.append(weekend if busy else 0.0)
        else:
            hours.append(rate if busy else evening if 6 <= hour < 22 else 0.0)
    return hours


KINDS = (
    Kind("office, busy", office(3.0, 0.3, 0.02), 1, saving=True, holidays=True),
    Kind("office, usual", office(0.8, 0.05), -8, saving=True, holidays=True),
    Kind("office, Asia", office(1.5, 0.1, 0.05), 9, holidays=True),
    Kind("office, small", office(0.15, 0.01), 0, saving=True, holidays=True),
    Kind("worldwide team", [0.5 + 1.5 * each for each in office(1.0, 0.5, 0.2)], 0),
    Kind("robot", [6.0] * 168, 0, restless=50.0),
    Kind("growing office", office(0.3, 0.02), 2, saving=True, holidays=True, growth=6.0),
    Kind("shrinking office", office(2.0, 0.1), 2, saving=True, holidays=True, growth=0.2),
    Kind("three events a month", [3 / 730] * 168, 0),
)


def hours_of(days: Sequence[int], hours: Sequence[int], rate: float) -> list[float]:
    """Return a rhythm that is active in these hours of these days, Monday is 0."""
    return [
        rate if day in days and hour in hours else 0.0 for day, hour in itertools.product(range(7), range(24))
    ]


FURTHER = (
    Kind("night shift", hours_of(range(5), (0, 1, 2, 3, 4, 5, 22, 23), 1.5), 1, saving=True),
    Kind("weekends alone", hours_of((5, 6), range(8, 20), 1.2), 0),
    Kind("week from Sunday on", hours_of((0, 1, 2, 3, 6), range(9, 18), 1.0), 3),
    Kind(
        "two offices, ocean between",
        [a + b for a, b in zip(office(0.8), hours_of(range(5), range(2, 8), 0.8), strict=True)],
        -8,
    ),
    Kind("one job a day", hours_of(range(7), (2,), 50.0), 0, restless=50.0),
    Kind("load falls to a tenth at once", office(3.0, 0.1), 0, step=0.1),
    Kind("one event a month", [1 / 730] * 168, 0),
)
RHYTHMS = {"usual": KINDS, "further": FURTHER}


@dataclass(frozen=True, slots=True)
class Outage:
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """A silence that was called unlikely, from `at` on; `end`: its first event after that."""

    begin: int
    at: int
    end: int


def simulate(kind: Kind, chance: random.Random) -> list[bool]:
    """Return for each hour whether the site had an event."""
    holidays = _days_off(chance) if kind.holidays else set[int]()
    active, level = [], 1.0
    for hour in range(WEEKS * 168):
        summer = kind.saving and 12 * 168 <= hour < 43 * 168
        local = hour + kind.zone + summer
        day = local // 24
        if hour % 24 == 0:
            growth = kind.growth ** (hour / (52 * 168)) * (kind.step if hour >= 26 * 168 else 1.0)
            level = growth * chance.gammavariate(kind.restless, 1 / kind.restless)
        week_hour = (local + 3 * 24) % 168  # 1 January 2026 is a Thursday
        rate = kind.hourly[week_hour] * (0.003 if day in holidays else level)
        active.append(chance.random() < 1 - math.exp(-rate))
    return active


def _days_off(chance: random.Random) -> set[int]:
    """Return ten public holidays, the last week of the year, and for every third site a week of its own."""
    days = set(chance.sample(range(365), 14)) | set(range(2)) | set(range(357, 366))
    if chance.random() < 1 / 3:
        start = chance.randrange(180, 240)
        days |= set(range(start, start + 9))
    return days


def with_outage(active: list[bool], days: float, chance: random.Random) -> tuple[list[bool], Outage]:
    """Return the hours as a broken feed shows them."""
    hours = int(24 * days)
    start = chance.randrange(4 * 168, WEEKS * 168 - hours - 168)
    outage = Outage(start, start + hours)
    return [had and not outage.start <= hour < outage.end for hour, had in enumerate(active)], outage


def unlikely_silences(active: Sequence[bool]) -> Iterator[Alarm]:
    """Yield each silence that became unlikely after the time of learning."""
    known, last = ActiveHours(), -1
    for hour in [*itertools.compress(itertools.count(), active), len(active)]:
        if last >= 0 and hour - last >= SHORTEST_HOURS and hour >= LEARNING_HOURS:
            rhythm = learn_rhythm(known, (1 << min(last + 1, HOURS_KEPT)) - 1)
            at = _first_unlikely(rhythm, last, hour)
            if at is not None:
                yield Alarm(last, at, hour)
        created = (FIRST_HOUR + hour) * HOUR_MS
        known, last = known.add([created], created), hour


def _first_unlikely(rhythm: WeeklyRhythm, last: int, end: int) -> int | None:
    """Return the hour at which the silence became unlikely: the chance falls with each hour."""
    hours = range(max(last + 1, LEARNING_HOURS), end + 1)

    def is_unlikely(hour: int) -> bool:
        return silence_probability(rhythm, FIRST_HOUR + last + 1, FIRST_HOUR + hour) < UNLIKELY

    if not hours or not is_unlikely(end):
        return None
    return hours[bisect.bisect_left(hours, True, key=is_unlikely)]


@dataclass(slots=True)
class Tally:
    """What was found at the sites of one kind. `delays`: by length of the outage in days, the days until it was named."""

    years: float = 0.0
    false_alarms: int = 0
    outages: Counter[float] = field(default_factory=Counter)
    delays: dict[float, list[float]] = field(default_factory=lambda: {days: [] for days in OUTAGE_DAYS})

    @property
    def found(self) -> int:
        return sum(map(len, self.delays.values()))

    @property
    def quality(self) -> str:
        """Return precision and recall."""
        named = self.found + self.false_alarms
        return f"{self.found / named if named else 1:.2f}, {self.found / self.outages.total():.2f}"

    def __add__(self, other: "Tally") -> "Tally":
        delays = {days: self.delays[days] + other.delays[days] for days in OUTAGE_DAYS}
        outages = self.outages + other.outages
        return Tally(self.years + other.years, self.false_alarms + other.false_alarms, outages, delays)

    def add(self, active: list[bool], outage: Outage | None) -> None:
        self.years += len(active) / (365 * 24)
        found = list(unlikely_silences(active))
        if outage is None:
            self.false_alarms += len(found)
            return
        days = (outage.end - outage.start) / 24
        self.outages[days] += 1
        hits = [alarm.at for alarm in found if outage.start <= alarm.at < outage.end]
        self.false_alarms += sum(alarm.begin >= outage.end or alarm.at < outage.start for alarm in found)
        if hits:
            self.delays[days].append((hits[0] - outage.start) / 24)


def measure(kind: Kind, organizations: int, seed: int) -> Tally:
    """Return the tally of so many sites of a kind, half of them with one outage."""
    chance, tally = random.Random(f"{seed} {kind.name}"), Tally()
    for site in range(organizations):
        active = simulate(kind, chance)
        if site % 2:
            tally.add(*with_outage(active, OUTAGE_DAYS[site // 2 % len(OUTAGE_DAYS)], chance))
        else:
            tally.add(active, None)
    return tally


def table_row(name: str, tally: Tally) -> str:
    cells = [f"{tally.false_alarms / tally.years:.2f}", tally.quality]
    for days in OUTAGE_DAYS:
        delays = tally.delays[days]
        median = f" ({statistics.median(delays):.1f})" if delays else ""
        cells.append(f"{len(delays)} of {tally.outages[days]}{median}")
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rhythms", choices=RHYTHMS, default="usual")
    parser.add_argument("--organizations", type=int, default=14, help="Sites of each kind and seed.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[31, 32, 33, 34, 35])
    given = parser.parse_args()
    print(
        f"| site | false alarms a year | precision, recall | {' | '.join(f'{days:g} d' for days in OUTAGE_DAYS)} |"
    )
    print("|---" * (len(OUTAGE_DAYS) + 3) + "|")
    kinds = RHYTHMS[given.rhythms]
    parts = [(kind, given.organizations, seed) for kind in kinds for seed in given.seeds]
    whole, of_kind = Tally(), {kind.name: Tally() for kind in kinds}
    with ProcessPoolExecutor() as pool:
        for part, tally in zip(parts, pool.map(measure, *zip(*parts, strict=True)), strict=True):
            of_kind[part[0].name] += tally
            whole += tally
    for name, tally in of_kind.items():
        print(table_row(name, tally))
    print(table_row("all", whole))
    print(
        f"{whole.found} of {whole.outages.total()} outages named, {whole.false_alarms} false alarms in {whole.years:.0f} years of sites"
    )


if __name__ == "__main__":
    main()
