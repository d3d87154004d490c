"""The checks of the chaos judge find each breach, and accept each permitted order and repeat."""

import json

from sandbox.verdict import PublishedEvent
from tests.chaos.invariants import Repeats, RowArrival, find_broken_history, find_disorder, find_repeats


def published(*rows, mode="live", organization="acme"):
    """Return events of an organization; each row is (id, created, collected)."""
    return [
        PublishedEvent(
            organization,
            {"id": number, "created": created, "collected": collected, "mode": mode},
            mode == "backfill",
        )
        for number, created, collected in rows
    ]


def visible_from(*numbers, at=0):
    return {("acme", number): at for number in numbers}


def test_events_by_created_and_id_are_in_order():
    """An event that became visible later may follow younger ones."""
    rows = published((1, 10, 100), (2, 10, 100), (4, 30, 200), (3, 20, 300))

    assert find_disorder(rows, visible_from(1, 2, 4) | visible_from(3, at=250), set()) == []


def test_a_younger_event_before_an_older_one_in_one_transaction_is_disorder():
    assert len(find_disorder(published((2, 20, 100), (1, 10, 100)), visible_from(1, 2), set())) == 1


def test_an_older_event_that_was_visible_earlier_must_not_follow():
    """An older event after a younger one is a breach if it became visible first."""
    rows = published((2, 20, 100), (1, 10, 200))

    assert len(find_disorder(rows, visible_from(1, at=5) | visible_from(2, at=6), set())) == 1


def test_after_a_change_of_jiras_clock_only_transactions_are_in_order():
    rows = published((2, 20, 100), (1, 10, 200))

    assert find_disorder(rows, visible_from(1, at=5) | visible_from(2, at=6), {"acme"}) == []


def test_late_events_and_history_have_their_own_order():
    """Late events and events of history may follow younger ones."""
    late = published((2, 20, 100)) + published((1, 10, 200), mode="late")
    history = published((2, 20, 100), (1, 10, 200), mode="backfill")

    assert find_disorder(late + history, visible_from(1, 2), set()) == []


def test_collected_never_goes_back():
    assert len(find_disorder(published((1, 10, 200), (2, 20, 100)), visible_from(1, 2), set())) == 1


def test_a_lost_answer_or_a_death_explains_a_repeat():
    lost_answer = [
        RowArrival("a/1", 10.0, unacknowledged=True),
        RowArrival("a/1", 11.0, unacknowledged=False),
    ]
    death = [RowArrival("a/2", 100.0, unacknowledged=False), RowArrival("a/2", 108.0, unacknowledged=False)]

    assert find_repeats(lost_answer + death, [(101.0, 101.0)]) == Repeats(2, 1, [])


def test_a_repeat_without_a_reason_is_found():
    """A repeat is unexplained if the disturbance ended long before it, or began after it."""
    long_ago = [
        RowArrival("a/1", 100.0, unacknowledged=False),
        RowArrival("a/1", 101.0, unacknowledged=False),
    ]
    too_soon = [
        RowArrival("a/2", 300.0, unacknowledged=False),
        RowArrival("a/2", 301.0, unacknowledged=False),
    ]

    found = find_repeats(long_ago + too_soon, [(10.0, 12.0), (302.0, 305.0)])

    assert (found.rows, found.unacknowledged, len(found.unexplained)) == (2, 0, 2)


def change(name, before, after):
    texts = [None if state is None else json.dumps(state) for state in (before, after)]
    return {"organization": name, "what": "modified", "at": 1, "before": texts[0], "after": texts[1]}


def test_a_history_of_changes_leads_from_state_to_state():
    changes = [change("acme", None, {"revision": 1}), change("acme", {"revision": 1}, {"revision": 2})]

    assert find_broken_history(changes, {"acme": {"revision": 2}}) == []


def test_an_edit_that_overwrote_another_is_found():
    changes = [
        change("acme", None, {"revision": 1}),
        change("acme", {"revision": 1}, {"revision": 2, "by": "one"}),
        change("acme", {"revision": 1}, {"revision": 2, "by": "another"}),
    ]

    assert len(find_broken_history(changes, {"acme": {"revision": 2, "by": "another"}})) == 1


def test_a_state_that_no_change_led_to_is_found():
    assert len(find_broken_history([change("acme", None, {"revision": 1})], {})) == 1
