"""The weekly rhythm of an organization, learned from its active hours. Pure.

The unit is the active hour: an hour with at least one event. A burst of ten thousand records counts once, so that the rhythm
says how often an organization speaks, and not how much.

Hours count from 1970 UTC. The time zone of the site is not asked for: the hours of its week show in UTC as well, a daylight
saving change moves them by one hour, which the smoothing covers, and the night, at which a day begins, is found in them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from producer.state.active_hours import HOURS_KEPT, ActiveHours

WEEK_HOURS = 168
HALF_LIFE_WEEKS = 4.0
LEAST_WEEKS = 2.0
"""Less history counts as this much: two events of a first day are no rhythm of two an hour."""
_WEEK_WEIGHTS = [2 ** (-week / HALF_LIFE_WEEKS) for week in range(HOURS_KEPT // WEEK_HOURS)]
_WHOLE_WEEK = (1 << WEEK_HOURS) - 1
_LEAST_WEIGHT = sum(_WEEK_WEIGHTS[: int(LEAST_WEEKS)])

NIGHT_HOURS = 7
BUSY_DAY = 2.0
"""Expected active hours from which on a day without any event was a day off."""

_DAYS_OFF_PRIOR = (1.0, 24.0)
"""One day in twenty-five: ten to twelve public holidays in 255 working days."""
_RUN_PRIOR = (1.0, 1.0)
"""Every second day off is followed by another one."""
_SPREAD_PRIOR, _SPREAD_PRIOR_WEIGHT, _LEAST_SPREAD = 1 / 3, 40.0, 0.1


@dataclass(frozen=True, slots=True)
class WeeklyRhythm:
    """What an organization does in a week that is like those before.

    `rates`: for each hour of the week, counted from Thursday 00:00 UTC like the hours since 1970, the chance of an event.
    `night`: the hour of the day at which one day ends and the next begins. `spread`: the variance of its level from time to
    time, over the square of the mean. `days_off`: the chance that a day is the first of some days off, on which it is as on its
    quietest day of the week. `run`: the chance that a day off is followed by another one.
    """

    rates: tuple[float, ...]
    night: int
    spread: float
    days_off: float
    run: float

    def day_of(self, hour: int) -> int:
        """Return the number of the day that an hour belongs to."""
        return (hour - self.night) // 24

    def start_of(self, day: int) -> int:
        """Return the first hour of a day."""
        return 24 * day + self.night

    def day_rates(self, day: int) -> tuple[float, ...]:
        """Return the rates of the 24 hours of a day."""
        start = self.start_of(day) % WEEK_HOURS
        return (self.rates + self.rates)[start : start + 24]

    def rest_rates(self) -> tuple[float, ...]:
        """Return the rates of the quietest day of the week."""
        return min((self.day_rates(day) for day in range(7)), key=sum)


def learn_rhythm(active: ActiveHours, observed: int) -> WeeklyRhythm:
    """Return the rhythm. Bit i of `observed`: the hour i hours before the newest active one was read from the source."""
    rates = _rates(active, observed)
    night = _night(rates)
    plain = WeeklyRhythm(rates, night, _SPREAD_PRIOR, *_days_off([], []))
    days = _whole_days(active, observed, night)
    expected = [sum(plain.day_rates(day)) for day, _ in days]
    counts = [count for _, count in days]
    return WeeklyRhythm(rates, night, _spread(counts, expected), *_days_off(counts, expected))


def _rates(active: ActiveHours, observed: int) -> tuple[float, ...]:
    """Return the weighted share of weeks in which each hour had an event, smoothed over the hours beside it."""
    had, read = _weighted_hours(active.newest, active.bits), _weighted_hours(active.newest, observed)
    shares = [mine / max(whole, _LEAST_WEIGHT) for mine, whole in zip(had, read, strict=True)]
    return tuple(
        (shares[hour - 1] + 2 * shares[hour] + shares[(hour + 1) % WEEK_HOURS]) / 4
        for hour in range(WEEK_HOURS)
    )


def _weighted_hours(newest: int, bits: int) -> list[float]:
    """Return the sum of the weights of the bits of each hour of the week."""
    sums = [0.0] * WEEK_HOURS
    everywhere = 0.0
    for week, weight in enumerate(_WEEK_WEIGHTS):
        ages = bits >> week * WEEK_HOURS & _WHOLE_WEEK
        if ages == _WHOLE_WEEK:
            everywhere += weight
            continue
        while ages:
            last = ages & -ages
            sums[(newest - last.bit_length() + 1) % WEEK_HOURS] += weight
            ages ^= last
    return [each + everywhere for each in sums]


def _night(rates: Sequence[float]) -> int:
    """Return the middle of the quietest hours of the day."""
    by_hour = [sum(rates[hour::24]) for hour in range(24)]
    half = NIGHT_HOURS // 2
    return min(range(24), key=lambda hour: sum(by_hour[(hour + by) % 24] for by in range(-half, half + 1)))


def _whole_days(active: ActiveHours, observed: int, night: int) -> list[tuple[int, int]]:
    """Return number and count of active hours of each day that was read from its begin to its end, oldest first."""
    full = (1 << 24) - 1
    newest_day = (active.newest - night) // 24
    days = []
    for day in range(newest_day - HOURS_KEPT // 24, newest_day):
        shift = active.newest - (24 * day + night + 23)
        if observed >> shift & full == full:
            days.append((day, (active.bits >> shift & full).bit_count()))
    return days


def _spread(counts: Sequence[int], expected: Sequence[float]) -> float:
    """Return the relative variance of the level: what the counts vary more than chance would, over their squared means.

    Days off are another matter, and left out.
    """
    pairs = [(count, mean) for count, mean in zip(counts, expected, strict=True) if count or mean < BUSY_DAY]
    more = sum((count - mean) ** 2 - mean * (1 - mean / 24) for count, mean in pairs)
    squares = sum(mean**2 for _, mean in pairs)
    spread = (max(0.0, more) + _SPREAD_PRIOR * _SPREAD_PRIOR_WEIGHT) / (squares + _SPREAD_PRIOR_WEIGHT)
    return max(_LEAST_SPREAD, spread)


def _days_off(counts: Sequence[int], expected: Sequence[float]) -> tuple[float, float]:
    """Return the chance that days off begin, and that they go on, from the days on which events were expected."""
    first = working = more = off = 0
    before = False
    for count, mean in zip(counts, expected, strict=True):
        if mean < BUSY_DAY:
            continue
        now = count == 0
        if before:
            off += 1
            more += now
        else:
            working += 1
            first += now
        before = now
    starts, continues = _DAYS_OFF_PRIOR, _RUN_PRIOR
    return (
        (starts[0] + first) / (sum(starts) + working),
        (continues[0] + more) / (sum(continues) + off),
    )
