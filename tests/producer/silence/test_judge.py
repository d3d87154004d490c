"""Whether a silence is usual: learned from active hours, and judged by what the source has answered for."""

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.silence.expectation import silence_probability
from producer.silence.judge import LEARNING_MS, LONG_MS, UNLIKELY, SilenceJudge, observed_hours
from producer.silence.rhythm import WEEK_HOURS, learn_rhythm
from producer.state.active_hours import HOURS_KEPT, ActiveHours
from producer.state.checkpoint import EventTime, new_checkpoint, with_active_hours
from producer.state.intervals import TimeRange
from relay.timestamps import DAY_MS, HOUR_MS

MONDAY = 495_096
"""A first hour of a Monday in June 2026, UTC."""
WEEKS = 8


def office(hour):
    return (hour - MONDAY) % WEEK_HOURS // 24 < 5 and 8 <= hour % 24 < 17


def always(hour):
    return hour > 0


def learned(works, weeks=WEEKS, until=MONDAY):
    """Return a checkpoint whose organization had an event in each hour that `works`, for so many weeks, all of them read."""
    first = until - int(weeks * WEEK_HOURS)
    hours = [hour for hour in range(first, until) if works(hour)]
    checkpoint = new_checkpoint("acme", first * HOUR_MS, now=0)
    newest = EventTime(hours[-1] * HOUR_MS, 1)
    checkpoint = replace(checkpoint, newest_event=newest, window_end=until * HOUR_MS)
    return with_active_hours(checkpoint, (hour * HOUR_MS for hour in hours), until * HOUR_MS)


def judge(checkpoint, silent_until):
    return SilenceJudge().judge(replace(checkpoint, window_end=silent_until * HOUR_MS), added=0)


def test_an_office_may_be_silent_over_the_weekend_and_a_holiday_and_not_for_two_weeks():
    """The night, the weekend and one day off are usual; ten working days are not, and each hour makes it less likely."""
    checkpoint = learned(office)
    words = {days: judge(checkpoint, MONDAY + 24 * days).word for days in (0, 1, 2, 14)}

    assert words == {0: "quiet", 1: "quiet", 2: "quiet", 14: "silent"}
    night, holiday = judge(checkpoint, MONDAY + 6), judge(checkpoint, MONDAY + 30)
    assert night.probability > 0.7
    assert 0.01 < holiday.probability < 0.2
    assert night.longest == 63 * HOUR_MS


def test_a_site_that_never_rests_is_named_within_a_day():
    """On its quietest day it has as many events as on each other one, so that no day off explains the silence."""
    assert judge(learned(always), MONDAY + 4).word == "quiet"
    assert judge(learned(always), MONDAY + 24).word == "silent"


def test_three_events_a_month_make_no_week_unlikely():
    rare = learned(lambda hour: hour % 240 == 0, weeks=16)

    assert judge(rare, MONDAY + 14 * 24).word == "quiet"
    assert judge(rare, MONDAY + 400 * 24).word == "silent"


def test_an_event_of_a_time_to_come_ends_no_silence():
    """A record bears the year 2100: the silence begins with the hour in which it was read."""
    checkpoint = learned(always)
    ahead = replace(checkpoint, newest_event=EventTime(4_102_444_800_000, 1))

    found = judge(ahead, MONDAY + 24)

    assert (found.word, found.since) == ("silent", MONDAY * HOUR_MS - 1)


def test_a_time_that_the_source_has_not_answered_for_is_no_silence():
    """The feed fails on Monday: weeks later the silence is still that of Monday."""
    checkpoint = learned(office)
    unread = replace(
        checkpoint,
        window_end=(MONDAY + 900) * HOUR_MS,
        unread_ranges=(TimeRange(MONDAY * HOUR_MS, (MONDAY + 900) * HOUR_MS),),
    )

    assert SilenceJudge().judge(unread, added=0) == judge(checkpoint, MONDAY)


def test_an_unread_range_before_the_last_event_hides_no_silence():
    """Jira never serves one record of last week; its site then falls silent, which is named as without that record."""
    checkpoint = learned(always)
    start = (MONDAY - 100) * HOUR_MS
    unread = replace(checkpoint, unread_ranges=(TimeRange(start, start + 1),))

    assert judge(unread, MONDAY + 24).word == "silent"
    assert judge(unread, MONDAY + 24).until == judge(checkpoint, MONDAY + 24).until


def test_a_range_that_stays_unread_after_the_last_event_stops_no_judgement():
    """Jira never serves one record after the last event, which may be an event: the silence counts from there on, and before it."""
    checkpoint = learned(always)
    gone = TimeRange((MONDAY + 3) * HOUR_MS, (MONDAY + 4) * HOUR_MS)
    unread = replace(checkpoint, unread_ranges=(gone,))

    assert judge(unread, MONDAY + 5).word == "quiet"
    later = judge(unread, MONDAY + 30)
    assert (later.word, later.since, later.until) == ("silent", gone.end, (MONDAY + 30) * HOUR_MS)
    assert later.probability > judge(checkpoint, MONDAY + 30).probability
    before = replace(unread, unread_ranges=(TimeRange((MONDAY + 24) * HOUR_MS, (MONDAY + 25) * HOUR_MS),))
    assert judge(before, MONDAY + 26) == judge(checkpoint, MONDAY + 24)

    judged = SilenceJudge()
    assert judged.judge(replace(unread, window_end=(MONDAY + 30) * HOUR_MS), 0) == later
    assert (
        judged.judge(replace(unread, window_end=(MONDAY + 30) * HOUR_MS + 1), 0).probability
        == later.probability
    )


@pytest.mark.parametrize("days_off", [1, 2, 4])
def test_a_range_that_stays_unread_before_days_off_makes_them_no_less_likely(days_off):
    """Jira never serves an hour of the night before a holiday: the part behind it follows no event, so its first day may be a day off."""
    checkpoint, silent_until = learned(office), MONDAY + 24 * days_off + 7
    night = TimeRange((MONDAY + 2) * HOUR_MS, (MONDAY + 3) * HOUR_MS)
    part = judge(replace(checkpoint, unread_ranges=(night,)), silent_until)

    assert part.since == night.end
    assert part.probability >= judge(checkpoint, silent_until).probability


def test_two_weeks_of_learning_say_so():
    """No silence is judged before; one of a week is named, with the time of learning."""
    first = judge(learned(office, weeks=1), MONDAY + 24)
    assert (first.word, first.probability) == ("learning", None)
    assert first.learning_until == (MONDAY - WEEK_HOURS) * HOUR_MS + LEARNING_MS

    started = learned(lambda hour: hour == MONDAY - 60, weeks=0.5)
    named = judge(started, MONDAY - 60 + LONG_MS // HOUR_MS)
    assert (named.word, named.learning_until is not None) == ("silent", True)


def test_a_backfilled_day_teaches_and_shortens_the_learning():
    """Events of a backfill come in any order, and their days count once the backfill has reached the live ones."""
    live = learned(office, weeks=1)
    begin = live.live_since
    history = TimeRange(begin - 3 * 7 * DAY_MS, begin)
    older = [hour for hour in range(history.start // HOUR_MS, begin // HOUR_MS) if office(hour)]
    random.Random(1).shuffle(older)
    taught = with_active_hours(
        replace(live, backfilled=(history,)), (each * HOUR_MS for each in older), MONDAY * HOUR_MS
    )

    assert judge(taught, MONDAY + 24).word == "quiet"
    assert taught.active_hours == learned(office, weeks=4).active_hours


def test_an_organization_without_any_event_is_named_after_two_weeks():
    """Nothing says what is usual; that is no good news. The same where an earlier release published all its events."""
    never = new_checkpoint("acme", MONDAY * HOUR_MS, now=0)
    upgraded = replace(learned(office), active_hours=ActiveHours(since=MONDAY * HOUR_MS))
    for checkpoint, added in ((never, MONDAY * HOUR_MS), (upgraded, 0)):
        learning, named = (
            SilenceJudge().judge(replace(checkpoint, window_end=(MONDAY + 24 * days) * HOUR_MS), added)
            for days in (1, 15)
        )
        assert (learning.word, named.word, named.probability) == ("learning", "silent", None)


def test_a_checkpoint_of_an_earlier_release_begins_to_learn():
    """Its hours without record were not empty, so that they are no evidence of silence."""
    old = replace(learned(office), active_hours=None)
    now = (MONDAY + 9) * HOUR_MS
    started = with_active_hours(old, [now], now)

    assert judge(old, MONDAY).word == "learning"
    assert judge(started, MONDAY + 12).word == "learning"
    assert observed_hours(started, started.active_hours) == 1


def test_hours_that_were_read_and_had_no_event_count_and_unread_ones_do_not():
    """Every second Monday teaches a chance of a half; an hour that the source failed to serve says nothing."""
    alternating = learned(lambda hour: hour % (2 * WEEK_HOURS) == MONDAY % (2 * WEEK_HOURS), weeks=8)
    observed = observed_hours(alternating, alternating.active_hours)
    unread = TimeRange((MONDAY - 400) * HOUR_MS, (MONDAY - 390) * HOUR_MS)
    holed = replace(alternating, unread_ranges=(unread,))

    assert observed.bit_count() == 6 * WEEK_HOURS + 1
    assert observed.bit_count() - observed_hours(holed, holed.active_hours).bit_count() == 10
    rates = learn_rhythm(alternating.active_hours, observed).rates
    assert sum(rates) == pytest.approx(0.6, abs=0.1)


def test_a_migrated_site_stays_named():
    """A silence teaches nothing while it lasts."""
    silent = [judge(learned(office), MONDAY + 24 * days) for days in (30, 120, 500)]

    assert {each.word for each in silent} == {"silent"}
    assert silent[0].probability > silent[1].probability >= silent[2].probability


@pytest.mark.parametrize("shift", [-1, 1])
def test_a_change_to_summer_time_makes_no_silence_unlikely(shift):
    """The first Monday after it begins an hour earlier or later."""
    assert judge(learned(office), MONDAY + 8 + max(0, shift)).probability > 0.1


hours = st.sets(st.integers(0, HOURS_KEPT - 1), min_size=1, max_size=300)


@given(hours, st.integers(0, 23), st.integers(1, 2_000), st.integers(1, 100))
def test_a_longer_silence_is_never_more_likely(ages, last, length, more):
    """For any history the chance is one, and falls from hour to hour."""
    active = ActiveHours().add([(MONDAY - age) * HOUR_MS for age in ages], MONDAY * HOUR_MS)
    rhythm = learn_rhythm(active, (1 << HOURS_KEPT) - 1)
    first = active.newest + 1 + last
    chance, later = (silence_probability(rhythm, first, first + each) for each in (length, length + more))

    assert 0 <= later <= chance * (1 + 1e-9)
    assert chance <= 1 + 1e-9
    assert math.isclose(silence_probability(rhythm, first, first), 1)


@given(st.lists(st.lists(st.integers(-3_000, 30), max_size=9), max_size=6), st.randoms())
def test_active_hours_know_no_order_and_no_repetition(batches, chance):
    """Live, late, backfilled, read again: the same events leave the same hours, in at most 336 bytes, and none is in the future."""
    batches = [[(MONDAY + hour) * HOUR_MS + 5 for hour in batch] for batch in batches]
    now = MONDAY * HOUR_MS
    forward = shuffled = ActiveHours()
    for batch in batches:
        forward = forward.add(batch, now)
    for batch in chance.sample(batches, len(batches)) + batches[:2]:
        shuffled = shuffled.add(batch, now)
    hours = {min(each, now) // HOUR_MS for batch in batches for each in batch}

    assert forward == shuffled
    assert {forward.newest - age for age in range(HOURS_KEPT) if forward.bits >> age & 1} == {
        hour for hour in hours if hour > max(hours) - HOURS_KEPT
    }
    assert len(forward.to_record()["hours"]) <= 336


def test_the_limit_is_the_one_that_the_benchmark_measures():
    assert UNLIKELY == 0.0005
