"""The probability that a feed that works is silent for so long. Pure.

Two things make an office silent: chance, and days off.

1. Chance alone is `exp(-level * expected)` for so many expected active hours. The level varies from time to time, as a gamma
   distribution, so that a silence is less surprising in an organization whose weeks differ.
2. Days off begin and go on with the chances of the rhythm. On them the organization is as on its quietest day of the week.
3. Each day of the silence multiplies the chances of both ways to have come so far.
"""

import math
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from producer.silence.rhythm import WeeklyRhythm
from relay.timestamps import HOUR_MS

LONGEST_DAYS = 400
"""A longer silence is judged as one of so many days."""
LEAST_WORK = 1.0
"""A day may be a day off if it has so many expected active hours more than the quietest day of the week."""
YEAR_END_RUN = 0.9
"""Chance that a day off is followed by another one between 22 December and 6 January, when offices shut for a week or two."""

_LEVELS = [math.exp(step / 2) for step in range(-7, 3)]


@dataclass(frozen=True, slots=True)
class _Day:
    """Expected active hours of a day, or of a part of it: as a working day and as a day off. `run`: None if it is no working day."""

    working: float
    off: float
    run: float | None


def silence_probability(
    rhythm: WeeklyRhythm, first: int, end: int, answered_from: int | None = None
) -> float:
    """Return the chance of no event in the hours from `first` to before `end`, counted from 1970 UTC.

    `first` follows an event. `answered_from`: the first hour of which it is known that it had none; None: all hours had none.
    Days off may have begun in the hours before it, so a part of a silence is never less likely than the whole.
    """
    begin = first if answered_from is None else max(first, answered_from)
    days = list(
        _days(rhythm, max(first, begin - 24 * LONGEST_DAYS), begin, min(end, begin + 24 * LONGEST_DAYS))
    )
    shape = 1 / rhythm.spread
    weights: list[float] = [math.exp(shape * (math.log(level) - level + 1)) for level in _LEVELS]
    chances = [_at_level(rhythm.days_off, days, level) for level in _LEVELS]
    weighted: float = sum(map(operator.mul, weights, chances))
    return weighted / sum(weights)


def _days(rhythm: WeeklyRhythm, first: int, answered: int, end: int) -> Iterator[_Day]:
    """Yield the days of the hours from `first` on; hours before `answered` expect nothing."""
    rest = rhythm.rest_rates()
    while first < end:
        day = rhythm.day_of(first)
        start = rhythm.start_of(day)
        part = slice(max(first, answered) - start, min(24, end - start))
        rates = rhythm.day_rates(day)
        works = sum(rates) - sum(rest) > LEAST_WORK
        yield _Day(sum(rates[part]), sum(rest[part]), _run(rhythm, start) if works else None)
        first = start + 24


def _run(rhythm: WeeklyRhythm, start: int) -> float:
    date = datetime.fromtimestamp(start * HOUR_MS / 1000, UTC)
    year_end = (date.month, date.day) >= (12, 22) or (date.month, date.day) <= (1, 6)
    return max(rhythm.run, YEAR_END_RUN) if year_end else rhythm.run


def _at_level(days_off: float, days: list[_Day], level: float) -> float:
    """Return the chance of silence on all days. The first day has had an event, so it is no day off."""
    working, off = 1.0, 0.0
    for number, day in enumerate(days):
        if number and day.run is not None:
            begun, ended = working * days_off, off * (1 - day.run)
            working, off = working - begun + ended, off - ended + begun
        working *= math.exp(-level * day.working)
        off *= math.exp(-level * day.off)
    return working + off
