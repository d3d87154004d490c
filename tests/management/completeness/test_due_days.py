"""Which days are counted and sealed at an instant."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest

from management.completeness.attention import DayCounts
from management.completeness.day_seal import next_seal
from management.completeness.due_days import (
    ATTENTION_DAYS,
    HOUR_MS,
    RECOUNT_MS,
    DueDays,
    LastCount,
    due_days,
    overdue_ms,
)
from management.completeness.export import StoredSeal
from management.completeness.progress import Marks, ProgressSummary
from management.completeness.rounds import in_parts
from management.completeness.seal_index import OrganizationSeals
from management.completeness.sealed_days import DayMark
from management.completeness.sealing import CountedState
from relay.timestamps import DAY_MS, day_start
from tests.support.day_seals import KEY, account
from tests.support.proof_world import LATE_DAYS, days_from

DAYS = days_from("2026-11-01", 12)
NOON = day_start(DAYS[9]) + DAY_MS // 2


def progress_of(now=NOON, **ids):
    """Return the progress of an organization that was added on the first day. `ids`: how many the ledger of a day has."""
    counts = {DAYS[int(day[1:])]: count for day, count in ids.items()}
    return ProgressSummary(Marks(day_start(DAYS[0]), window_end=now, week_mark=now), counts)


def sealed(state):
    """Return the seals of an organization whose first day has one, with two events."""
    found = OrganizationSeals("acme")
    found.sealed[DAYS[0]] = DayMark(state, 1, 2, 0)
    return found


def last(at, ids, *, settled):
    return LastCount(at, ids, settled, at)


def due(progress, counts=None, now=NOON, seals=None, **kinds):
    seals = seals or OrganizationSeals("acme")
    return due_days(progress, seals, counts or {}, now, LATE_DAYS, **kinds)


def test_a_day_is_counted_once_it_has_ended_and_again_for_a_reason():
    """A reason is another ledger, something to be done, or a day that has passed; today is not counted."""
    open_days, progress = list(DAYS[2:9]), progress_of(d4=5)
    assert due(progress) == DueDays(list(DAYS[:2]), open_days, [])
    counted = {day: last(NOON - HOUR_MS, 5 if day == DAYS[4] else 0, settled=True) for day in open_days}
    assert due(progress, counted).counting == []
    for day, found in (
        (DAYS[4], replace(counted[DAYS[4]], ids=4)),
        (DAYS[5], replace(counted[DAYS[5]], settled=False)),
        (DAYS[6], replace(counted[DAYS[6]], at=NOON - RECOUNT_MS)),
        (DAYS[7], replace(counted[DAYS[7]], at=NOON + DAY_MS)),  # of a clock that was ahead for one round
    ):
        assert due(progress, counted | {day: found}).counting == [day]


def test_between_passes_only_what_cannot_wait_is_counted():
    """A day that has just ended, another ledger, and something to be done; seals and daily counts come with the next pass."""
    progress, counted = (
        progress_of(d0=2, d4=5),
        {day: last(NOON - RECOUNT_MS, 0, settled=True) for day in DAYS[:8]},
    )
    counted |= {
        DAYS[0]: last(NOON - RECOUNT_MS, 2, settled=True),
        DAYS[5]: last(NOON, 0, settled=False),
    }
    found = due(progress, counted, is_pass=False)
    assert found == DueDays([], [DAYS[4], DAYS[5], DAYS[8]], [])
    assert due(progress, counted).sealing == list(DAYS[:2])
    seals = sealed("differing")
    assert due(progress, counted, seals=seals, is_pass=False).again == []
    assert due(progress, counted, seals=seals).again == [DAYS[0]]


def test_a_seal_is_overdue_once_no_record_of_its_day_can_come_late():
    """Also where polling has stopped, so that it never gets one."""
    stopped, seals = progress_of(day_start(DAYS[0])), OrganizationSeals("acme")
    end = day_start(DAYS[0]) + (1 + LATE_DAYS) * DAY_MS
    assert [overdue_ms(stopped, seals, now, LATE_DAYS) for now in (NOON - 9 * DAY_MS, end, end + 5)] == [
        0,
        0,
        5,
    ]
    assert overdue_ms(ProgressSummary(), seals, NOON, LATE_DAYS) == 0
    assert overdue_ms(stopped, seals, end + 5, LATE_DAYS, paused=True) == 0


def test_an_organization_that_stopped_long_ago_is_not_counted_again_in_each_round():
    stopped, now, kept = progress_of(day_start(DAYS[0])), NOON + 60 * DAY_MS, DayCounts()
    counted = due(stopped, kept.last, now).counting
    assert len(counted) == ATTENTION_DAYS
    kept.add({day: CountedState("not collected") for day in counted}, now)
    assert due(stopped, kept.last, now).all == []


def test_a_day_that_stays_open_is_counted_less_often():
    """One that differs for an hour is counted in each round, then each hour, and one that has differed for a day every three hours."""
    kept, found, now, progress = DayCounts(), [], NOON, progress_of()
    counted = {day: CountedState("complete") for day in DAYS[2:9]} | {DAYS[5]: CountedState("differing")}
    kept.add(counted, now)
    for _ in range(96):
        now += HOUR_MS // 2
        if DAYS[5] in due(progress, kept.last, now, is_pass=False).counting:
            kept.add({DAYS[5]: CountedState("differing")}, now)
            found.append((now - NOON) / HOUR_MS)
    assert found[:5] == [0.5, 1, 1.5, 2, 2.5]
    assert len(found) < 40
    pauses = {after - before: after for before, after in pairwise(found)}
    assert {pause for pause, at in pauses.items() if pause > 1} == {3}
    assert 24 <= pauses[1] < 25
    assert DAYS[5] in due(progress_of(d5=1), kept.last, now).counting
    kept.add({DAYS[5]: CountedState("complete")}, now)
    kept.add({DAYS[5]: CountedState("differing")}, now + 1)
    assert DAYS[5] in due(progress, kept.last, now + HOUR_MS // 2).counting


def test_an_old_sealed_day_whose_ledger_has_grown_is_compared_once():
    seals, kept, now = sealed("complete"), DayCounts(), NOON + 60 * DAY_MS
    assert due(progress_of(d0=3), kept.last, now, seals).again == [DAYS[0]]
    kept.add({DAYS[0]: CountedState("complete", 3)}, now)
    assert due(progress_of(d0=3), kept.last, now, seals).again == []
    kept.add({}, now + 200 * DAY_MS)
    assert kept.last == {}


def test_a_paused_organization_stays_proven_up_to_its_pause():
    """Its site is not asked again for what was complete, also by a watch that has just started, and days after it are no difference."""
    progress, seals = progress_of(day_start(DAYS[6]) + HOUR_MS), sealed("differing")
    assert due(progress, seals=seals, paused=True) == DueDays([], list(DAYS[:6]), [])
    kept = DayCounts()
    kept.add({day: CountedState("complete") for day in DAYS[:6]}, NOON)
    assert due(progress, kept.last, NOON + 3 * DAY_MS, seals, paused=True).all == []
    for number in range(5):
        seals.accounts[DAYS[number]] = DayMark("complete", 0, 0, number)
    seals.accounts[DAYS[5]] = DayMark("differing", 0, 0, 5)
    assert due(progress, seals=seals, paused=True).all == [DAYS[5]]
    assert due(progress, kept.last, NOON, seals).counting == list(DAYS[6:9])


def test_a_day_that_polling_has_not_passed_is_counted_an_hour_late():
    """An event that polling comes to in a minute is no difference."""
    midnight = day_start(DAYS[9])
    behind = progress_of(midnight - 1)
    assert due(behind, now=midnight + HOUR_MS - 1).counting[-1] == DAYS[7]
    assert due(behind, now=midnight + HOUR_MS).counting[-1] == DAYS[8]
    assert due(ProgressSummary()).all == []


def test_a_sealed_day_whose_ledger_has_grown_is_compared_once():
    """A late record, or one that was redriven: the seal says how many there were."""
    seals = sealed("complete")
    assert due(progress_of(d0=2), seals=seals).again == []
    assert due(progress_of(d0=3), seals=seals).again == [DAYS[0]]
    looked = {DAYS[0]: last(NOON, 3, settled=True)}
    assert due(progress_of(d0=3), looked, seals=seals).again == []


@pytest.mark.parametrize("state", ["differing", "unproven"])
def test_a_sealed_day_that_is_not_complete_is_compared_daily(state):
    """A replay, a destination that caught up, or an audit log that answers again shows in no ledger."""
    seals = sealed(state)
    progress = progress_of(d0=2)
    assert due(progress, seals=seals).again == [DAYS[0]]
    looked = {DAYS[0]: last(NOON - RECOUNT_MS + 1, 2, settled=False)}
    assert due(progress, looked, seals=seals).again == []
    looked = {DAYS[0]: last(NOON - RECOUNT_MS, 2, settled=False)}
    assert due(progress, looked, seals=seals).again == [DAYS[0]]
    assert due(progress, now=NOON + 30 * DAY_MS, seals=seals).again == []


def test_days_that_a_clock_ahead_has_sealed_hold_up_no_present_day():
    """Once such a day is over, it is compared with its seal."""
    seals = OrganizationSeals("acme", lambda: DAYS[9])
    for sequence, day in enumerate((DAYS[0], "2027-11-01", DAYS[1]), 1):
        signed = next_seal(seals.chain, account(day), KEY, NOON)
        seals.take(StoredSeal(signed, json.loads(signed.text)), sequence)
    assert (seals.fault, seals.early) == (None, {"2027-11-01"})
    late = progress_of(NOON + DAY_MS)
    assert due(late, now=NOON + DAY_MS, seals=seals).sealing == [DAYS[2]]
    assert overdue_ms(late, seals, NOON + DAY_MS, LATE_DAYS) == DAY_MS // 2
    for days, again in ((LATE_DAYS, []), (LATE_DAYS + 1, ["2027-11-01"])):
        then = day_start("2027-11-01") + days * DAY_MS
        found = due(progress_of(then), now=then, seals=seals, is_pass=True)
        assert found.again == again
    signed = next_seal(seals.chain, account("2027-11-01"), KEY, then)
    seals.take(StoredSeal(signed, json.loads(signed.text)), 4)
    assert (seals.fault, seals.early) == (None, frozenset())


def test_a_partition_is_read_in_parts_that_fit():
    """The days of one organization stay together, however many events they have."""
    found = {name: DueDays(list(DAYS[:2])) for name in "abcd"}
    progress = {name: progress_of(d0=3, d1=2) for name in found}
    assert [list(part) for part in in_parts(found, progress, 10)] == [["a", "b"], ["c", "d"]]
    assert [list(part) for part in in_parts(found, progress, 1)] == [["a"], ["b"], ["c"], ["d"]]
