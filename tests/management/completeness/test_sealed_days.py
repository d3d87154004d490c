"""The sealed days of an organization, packed."""

import json
from datetime import date, timedelta
from struct import error

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from management.completeness.day_seal import next_seal
from management.completeness.export import StoredSeal
from management.completeness.seal_index import OrganizationSeals
from management.completeness.sealed_days import KEPT_DAYS, DayMark, SealedDays
from tests.support.day_seals import KEY, NOON, account

FIRST = date(2026, 1, 1)


def name(number):
    return (FIRST + timedelta(days=number)).isoformat()


def mark(number, state="complete"):
    return DayMark(
        state, 1 + number % 3, number, number - 1, 1_800_000_000_000 + number, 2**40, -1, f"{number:064x}"
    )


@settings(max_examples=60)
@given(st.lists(st.integers(0, 3 * KEPT_DAYS), max_size=12))
def test_days_are_what_a_dict_of_the_newest_would_be(numbers):
    """In any order, with days left out between; what is older than the kept days is forgotten, and stays so."""
    days, kept = SealedDays(), dict[str, DayMark]()
    for number in numbers:
        days[name(number)] = mark(number)
        kept[name(number)] = mark(number)
        oldest = (date.fromisoformat(max(kept)) - timedelta(days=KEPT_DAYS - 1)).isoformat()
        kept = {day: each for day, each in sorted(kept.items()) if day >= oldest}
    assert dict(days) == kept
    assert [days.get(name(number)) for number in range(3 * KEPT_DAYS)] == [
        kept.get(name(number)) for number in range(3 * KEPT_DAYS)
    ]


def test_days_are_found_by_their_state():
    days = SealedDays()
    for number, state in enumerate(("complete", "differing", "unproven", "differing", "complete")):
        days[name(2 * number)] = mark(number, state)
    assert days.days_in(["differing"], "") == [name(2), name(6)]
    assert days.days_in(["differing", "complete"], name(3)) == [name(6), name(8)]
    assert days.days_in(["complete"], name(9)) == []
    assert SealedDays().days_in(["complete"], name(0)) == []


def test_a_day_that_is_still_to_come_pushes_out_no_other():
    """It was sealed by a clock that was ahead. What is kept of such days is bounded, too."""
    days = SealedDays(lambda: name(9))
    for number in (3, 9, 5 * KEPT_DAYS, 10):
        days[name(number)] = mark(number, "differing")
    assert list(days) == [name(3), name(9), name(10), name(5 * KEPT_DAYS)]
    assert days.days_in(["differing"], name(10)) == [name(10), name(5 * KEPT_DAYS)]
    assert (days[name(10)].events, days.is_cut) == (10, False)
    for number in range(11, 3 * KEPT_DAYS):
        days[name(number)] = mark(number)
    assert (len(days), len(days._ahead), days[name(3)].events) == (KEPT_DAYS + 2, KEPT_DAYS, 3)
    days._today = lambda: name(10)
    days[name(10)] = mark(11)
    assert (days[name(10)].events, name(10) in days._ahead) == (11, False)


@pytest.mark.parametrize(
    "changed", [{"state": "Complete"}, {"events": -1}, {"digest": "x"}, {"edition": 10**6}]
)
def test_a_mark_that_no_seal_has_is_refused(changed):
    fields = {"state": "complete", "edition": 1, "events": 2, "offset": 3}
    with pytest.raises((ValueError, error)):
        SealedDays()[name(0)] = DayMark(**fields | changed)


def test_years_of_seals_cost_some_kilobytes_and_go_on():
    """Days that are forgotten break no chain: a further edition of one is taken, and a new day follows the last one."""
    found = OrganizationSeals("acme")

    def seal(day):
        signed = next_seal(found.chain, account(day, range(2)), KEY, NOON)
        return StoredSeal(signed, json.loads(signed.text))

    early = seal(name(0))
    found.take(early, 0)
    for number in range(1, KEPT_DAYS + 30):
        found.take(seal(name(number)), number)
    assert (found.fault, len(found.sealed), name(0) in found.sealed) == (None, KEPT_DAYS, False)
    assert len(found.sealed._rows) < 80 * KEPT_DAYS

    statement = {**early.statement, "sequence": found.chain.sequence + 1, "previous": found.chain.head}
    statement |= {"edition": 2, "replaces": early.signed.hash}
    found.take(StoredSeal(KEY.sign(statement), statement), 900)
    found.take(seal(name(KEPT_DAYS + 30)), 901)
    assert (found.fault, name(0) in found.sealed) == (None, False)
