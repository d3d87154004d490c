"""Which records count as published, where sites give one id to several records."""

import pytest
from prometheus_client import CollectorRegistry

from producer.metrics import ProducerMetrics
from producer.sources.jira_cloud.mapping import restore_json
from producer.state import checkpoint as checkpoints
from relay.timestamps import DAY_MS
from tests.support.committed_state import HOUR, MONDAY, SECOND, CommittedState, contents, record, uids


def test_new_records_of_a_restored_site_are_published_under_their_own_key():
    """A record is another one if it was created after all published events, whatever id it has."""
    kafka = CommittedState()
    old = [record(number, MONDAY + number * SECOND, f"old {number}") for number in range(1, 6)]
    kafka.publish(*old)
    new = [record(number, MONDAY + HOUR + number * SECOND, f"new {number}") for number in range(2, 7)]

    found = kafka.publish(*new)

    assert contents(found) == ["new 2", "new 3", "new 4", "new 5", "new 6"]
    assert [one["variant"] is None for one in found] == [False] * 4 + [True]
    assert len(set(uids(kafka.events))) == 10
    assert kafka.publish(*old, *new) == kafka.publish(*new) == []
    assert (kafka.checkpoint.id_reuse.count, kafka.checkpoint.id_reuse.since) == (4, MONDAY)


def test_a_known_id_of_another_day_is_another_record():
    """The data of another site was copied over: its records are older than the newest published event."""
    kafka = CommittedState()
    kafka.publish(record(1, MONDAY + HOUR, "ours"), record(2, MONDAY + 2 * HOUR, "ours"))
    copied = record(1, MONDAY - DAY_MS, "copied")

    assert contents(kafka.publish(copied)) == ["copied"]
    assert kafka.publish(copied, record(1, MONDAY + HOUR, "ours")) == []


@pytest.mark.parametrize("max_events", [1, 1_000])
@pytest.mark.parametrize("late", [0, 1])
def test_an_id_on_both_sides_of_midnight_is_of_two_records(max_events, late):
    """One of them is visible late, and the relay dies after each transaction of a window with both."""
    both = [record(7, MONDAY - 1, "before"), record(7, MONDAY + 1, "after")]
    for kills in range(1, 4):
        kafka = CommittedState(max_events)
        kafka.publish(record(6, MONDAY - HOUR), both[1 - late])
        kafka.publish(record(8, MONDAY + 2))
        kafka.publish(*both, kill_after=kills)
        kafka.publish(*both)
        assert sorted(contents(kafka.events)) == ["a", "a", "after", "before"]
        assert kafka.publish(*both) == kafka.publish(both[0]) == kafka.publish(both[1]) == []
        assert not kafka.dead_letters
        assert len(set(uids(kafka.events))) == 4


def test_a_record_that_is_read_again_is_known_at_every_crash():
    """A window of several transactions dies after each of them, before its checkpoint moves."""
    ordinary = [record(number, MONDAY + number // 3, str(number)) for number in range(9)]
    for kills in range(1, 9):
        kafka = CommittedState(max_events=1)
        kafka.publish(*ordinary, kill_after=kills)
        kafka.publish(*ordinary)
        assert contents(kafka.events) == [str(number) for number in range(9)]
        assert kafka.checkpoint.id_reuse is None


@pytest.mark.parametrize("max_events", [1, 2, 1_000])
@pytest.mark.parametrize("apart", [1, HOUR, DAY_MS])
def test_different_records_with_one_id_in_one_window_are_all_published(max_events, apart):
    """Also where they are published in several transactions, and read again after each of them."""
    window = [record(7, MONDAY + number * apart, f"{number}") for number in range(3)]
    for kills in range(1, 4):
        kafka = CommittedState(max_events)
        kafka.publish(*window, kill_after=kills)
        kafka.publish(*window)
        assert contents(kafka.events) == ["0", "1", "2"]
        assert len(set(uids(kafka.events))) == 3
        assert kafka.publish(*window) == kafka.dead_letters == []


def test_different_records_with_one_id_and_one_time_are_all_published():
    """In one transaction, all but the first get a variant."""
    kafka = CommittedState()
    window = [record(7, MONDAY, "first"), record(7, MONDAY, "second"), record(7, MONDAY, "first")]

    assert contents(kafka.publish(*window)) == ["first", "second"]
    assert len(set(uids(kafka.events))) == 2
    assert kafka.publish(*window) == kafka.dead_letters == []


def test_a_record_that_may_be_published_becomes_a_dead_letter():
    """Of two records with one id one was published, and the ledger does not know which."""
    kafka = CommittedState()
    shown, hidden = record(7, MONDAY + HOUR, "shown"), record(7, MONDAY, "hidden until now")
    kafka.publish(shown)

    for _ in range(2):
        assert kafka.publish(shown, hidden) == []
        assert [one.raw for one in kafka.dead_letters] == [restore_json(hidden), restore_json(shown)]
    assert "id 7" in kafka.dead_letters[0].reason


def test_one_time_and_id_over_two_transactions_lose_nothing():
    """Later transactions cannot know which of the two the first one published, so both become dead letters."""
    kafka = CommittedState(max_events=1)
    window = [record(7, MONDAY, "first"), record(7, MONDAY, "second")]
    for _ in range(3):
        kafka.publish(*window)

    assert contents(kafka.events) == ["first"]
    assert {one.raw for one in kafka.dead_letters} == {restore_json(one) for one in window}
    assert len(kafka.dead_letters) == 2


def test_a_checkpoint_of_an_older_relay_makes_no_record_new():
    """It names no newest event, so the end of the ledger's last day is the bound."""
    kafka = CommittedState()
    window = [record(1, MONDAY), record(2, MONDAY + HOUR)]
    kafka.publish(*window)
    kafka.checkpoint = checkpoints.from_record({**kafka.checkpoint.to_record(), "newest_event": None})

    assert kafka.publish(*window) == []
    assert contents(kafka.publish(record(1, MONDAY + 2 * HOUR, "same day"))) == []
    assert contents(kafka.publish(record(1, MONDAY + DAY_MS, "next day"))) == ["next day"]


def test_reused_ids_are_counted_and_logged_once(capsys):
    """One line names the ids; the counter has all of them."""
    registry = CollectorRegistry()
    metrics = ProducerMetrics(registry)
    metrics.ids_reused("acme", [7, 8], first=True)
    metrics.ids_reused("acme", [9], first=False)

    assert registry.get_sample_value("jira_relay_producer_ids_reused_total", {"organization": "acme"}) == 3
    assert capsys.readouterr().out.count("The source gave ids of published records") == 1
