"""The transactions of a redrive of producers' dead letters: each record in Kafka once, and its letter marked with it."""

from dataclasses import replace

import pytest

from producer.publishing.deduplication import UNDECIDED
from producer.publishing.letters import (
    CLOCK_MARGIN_MS,
    EVENTS_DELETED,
    NOT_WANTED,
    OTHER_RECORD,
    LetterRedrive,
    PublishedEvents,
    ReadLetter,
)
from producer.publishing.publisher import ShardClosedError
from producer.publishing.transaction import PendingRecords
from producer.publishing.transaction_size import TransactionLimits
from producer.sources.jira_cloud.mapping import restore_json, to_event
from producer.state.checkpoint import EventTime, new_checkpoint
from producer.state.intervals import TimeRange
from relay.dead_letters.closings import Closings
from relay.dead_letters.letter import DeadLetter, parse_letter
from relay.timestamps import DAY_MS, to_iso
from tests.support.dead_letters import StoredRecord
from tests.support.publisher import TOPICS, in_memory_publisher, publish_error

NOW = 1_790_000_000_000
JOB = "20261130-071500-ab12"
WINDOW = TimeRange(NOW - 10_000, NOW + 1)


def event(number, created=NOW - 1_000, **fields):
    return to_event({"id": number, "created": to_iso(created), **fields}, "acme")


def letter(offset, content, reason="no readable id"):
    headers = {"reason": reason, "service": "producer"}
    return ReadLetter(DeadLetter(0, offset, NOW, "acme", headers, 1), b"acme", content)


def redrive(*letters, backfill_from=None, published=None):
    return LetterRedrive(JOB, letters, 900_000, backfill_from, published)


async def opened(transactions=None, **limits):
    found, transactions = in_memory_publisher(lambda: NOW, transactions)
    found._topics = replace(found._topics, limits=TransactionLimits(**limits))
    await found.write_checkpoint("acme", lambda _: new_checkpoint("acme", NOW - 5_000, now=NOW))
    return found, transactions


async def publish(publisher, *events):
    pending = PendingRecords(list(events), [], WINDOW, 900_000, None, restore_json)
    await publisher.publish("acme", pending, lambda checkpoint: checkpoint, persist=True)


def marks(transactions):
    """Return the offsets of the marked letters, and of those whose record was published before."""
    found = [
        parse_letter(StoredRecord(0, 1_000 + n, one.key, one.value, tuple(one.headers)))
        for n, one in enumerate(transactions.topics[TOPICS.dead_letters])
    ]
    assert all(one.headers["replay"] == JOB and one.organization == "acme" for one in found)
    return [one.redriven for one in found], [one.redriven for one in found if one.was_published_before]


async def test_readable_records_are_published_known_ones_only_marked_and_others_left():
    """A record that live polling published meanwhile is marked; what cannot be read stays open with today's reason."""
    publisher, transactions = await opened()
    await publish(publisher, event(2))
    found = await publisher.publish_letters(
        "acme", redrive(letter(5, event(1)), letter(6, "still odd"), letter(7, event(2)), letter(9, event(3)))
    )
    assert transactions.ids() == [2, 1, 3]
    assert marks(transactions) == ([5, 7, 9], [7])
    assert (found.published, found.known, dict(found.left)) == (2, 1, {"still odd": 1})
    await publish(publisher, event(1), event(3))  # a re-read with today's code
    assert transactions.ids() == [2, 1, 3]


async def test_one_record_with_two_letters_is_published_once():
    publisher, transactions = await opened()
    await publisher.publish_letters("acme", redrive(letter(5, event(1)), letter(6, event(1))))
    assert (transactions.ids(), marks(transactions)) == ([1], ([5, 6], [6]))


@pytest.mark.parametrize("most", [1, 100])
async def test_one_record_that_was_shown_with_two_names_is_published_once(most):
    """A user was renamed between the two letters, so their bytes differ. In one transaction, and in two."""
    publisher, transactions = await opened(max_dead_letters=most)
    await publisher.publish_letters(
        "acme", redrive(letter(5, event(1)), letter(6, event(1, summary="renamed")))
    )
    assert (transactions.ids(), marks(transactions)) == ([1], ([5, 6], [6]))


async def test_two_records_with_one_id_are_both_published():
    """A site that was restored gives an id again: the second has a variant, as if the source had shown both in one window."""
    publisher, transactions = await opened()
    await publisher.publish_letters(
        "acme", redrive(letter(5, event(1)), letter(6, event(1, NOW - 900, summary="another")))
    )
    assert transactions.ids() == [1, 1]
    assert [one["variant"] is None for one in transactions.events()] == [True, False]


async def test_a_letter_of_which_the_id_proves_nothing_stays_open():
    """It was written because several records had the id, so a ledger that holds the id does not show which was published."""
    publisher, transactions = await opened()
    await publish(publisher, event(1))
    reason = f"{UNDECIDED} 1, and it is not known which was published"
    found = await publisher.publish_letters("acme", redrive(letter(5, event(1, summary="other"), reason)))
    assert (found.published, found.known, dict(found.left)) == (0, 0, {reason: 1})
    assert transactions.topics[TOPICS.dead_letters] == []


LONG_AGO = NOW - 20 * DAY_MS
BEFORE = LONG_AGO - CLOCK_MARGIN_MS
"""The first instant at which a record of LONG_AGO may have been published."""
HISTORY = NOW - 40 * DAY_MS


async def opened_late():
    """A publisher of an organization that has polled for a month, and keeps the ledgers of a week."""
    publisher, transactions = await opened()
    checkpoint = replace(
        publisher.checkpoint("acme"), live_since=NOW - 30 * DAY_MS, ledgers_from=NOW - 7 * DAY_MS
    )
    await publisher.write_checkpoint("acme", lambda _: checkpoint)
    return publisher, transactions


async def test_records_of_days_without_a_ledger_wait_until_the_topics_were_looked_at():
    """Nothing is published for them, and they count in nothing; history that nobody wants stays open."""
    publisher, transactions = await opened_late()
    letters = redrive(letter(5, event(1, LONG_AGO)), letter(6, event(2, HISTORY)))
    found = await publisher.publish_letters("acme", letters)
    assert ([one.offset for one in found.older], dict(found.left)) == ([5], {NOT_WANTED: 1})
    assert (transactions.ids(), marks(transactions)) == ([], ([], []))


async def test_the_topics_decide_where_no_ledger_does():
    """Found: only marked. Not found, though nothing since its creation was deleted: published, once for two letters. Else open."""
    publisher, transactions = await opened_late()
    publisher._topics = replace(publisher._topics, limits=TransactionLimits(max_dead_letters=1))
    times = {EventTime(LONG_AGO, 1), EventTime(LONG_AGO + 1, 4)}
    published = PublishedEvents(times, live_since=BEFORE - 1, backfill_since=NOW)
    letters = (
        letter(5, event(1, LONG_AGO)),
        letter(6, event(2, LONG_AGO)),
        letter(7, event(2, LONG_AGO)),
        letter(8, event(4, LONG_AGO)),
    )
    found = await publisher.publish_letters("acme", redrive(*letters, published=published))
    assert (transactions.ids(), marks(transactions)) == ([2], ([5, 6, 7], [5, 7]))
    assert [one["mode"] for one in transactions.events()] == ["late"]
    assert dict(found.left) == {OTHER_RECORD: 1}

    later = PublishedEvents(set(), live_since=BEFORE, backfill_since=NOW)
    found = await publisher.publish_letters("acme", redrive(letter(9, event(9, LONG_AGO)), published=later))
    assert (transactions.ids(), dict(found.left)) == ([2], {EVENTS_DELETED: 1})


async def test_a_record_may_have_been_published_long_before_its_letter():
    """A release that failed at records met one in a re-read, a week after it was published. Its event is deleted by now."""
    publisher, transactions = await opened_late()
    published = PublishedEvents(set(), live_since=NOW - DAY_MS, backfill_since=0)
    found = await publisher.publish_letters(
        "acme", redrive(letter(5, event(1, LONG_AGO)), published=published)
    )
    assert (transactions.ids(), dict(found.left)) == ([], {EVENTS_DELETED: 1})


@pytest.mark.parametrize("found", [set(), {EventTime(LONG_AGO, 1)}], ids=["deleted", "one is there"])
async def test_a_letter_of_which_the_id_proves_nothing_stays_open_without_a_ledger_too(found):
    """One of two records with one id and one time was published, and neither the ledger nor the topics tell which."""
    publisher, transactions = await opened_late()
    reason = f"{UNDECIDED} 1, and it is not known which was published"
    letters = (
        letter(5, event(1, LONG_AGO), reason),
        letter(6, event(1, LONG_AGO, summary="other"), reason),
    )
    published = PublishedEvents(set(found), live_since=0, backfill_since=0)
    result = await publisher.publish_letters("acme", redrive(*letters, published=published))
    assert (transactions.ids(), marks(transactions)) == ([], ([], []))
    assert (result.known, dict(result.left)) == (0, {reason: 2})


async def test_wanted_history_goes_to_backfill():
    publisher, transactions = await opened()
    created = NOW - 40 * DAY_MS
    await publisher.publish_letters(
        "acme", redrive(letter(5, event(1, created)), backfill_from=created - DAY_MS)
    )
    assert transactions.ids(TOPICS.backfill) == [1]


async def test_an_event_that_no_topic_accepts_stays_open():
    publisher, transactions = await opened()
    limits = replace(publisher._topic_limits(), max_event_bytes=300)
    publisher._topic_limits = lambda: limits
    found = await publisher.publish_letters(
        "acme", redrive(letter(5, event(1, summary="x" * 500)), letter(6, event(2)))
    )
    assert (transactions.ids(), marks(transactions)[0]) == ([2], [6])
    ((reason, count),) = found.left.items()
    assert (count, "more than 300" in reason) == (1, True)


@pytest.mark.parametrize("committed", range(5))
async def test_a_death_at_any_transaction_leaves_no_event_without_its_mark(committed):
    """An answer that is lost after the commit too: the next owner, which has the committed state, publishes only the rest."""
    letters = [letter(10 + n, event(n) if n % 4 else "still odd") for n in range(1, 13)]
    first, transactions = await opened(max_dead_letters=3)
    send, left = transactions.publish, [committed]

    async def die(records, after_offsets):
        if not left[0]:
            if committed % 2:
                await send(records, after_offsets)
            raise publish_error()
        left[0] -= 1
        return await send(records, after_offsets)

    transactions.publish = die
    if committed < 3:
        with pytest.raises(ShardClosedError):
            await first.publish_letters("acme", redrive(*letters))
    else:
        await first.publish_letters("acme", redrive(*letters))
    transactions.publish = send
    done = marks(transactions)[0]
    assert sorted(transactions.ids()) == [offset - 10 for offset in sorted(done)]
    second, _ = await opened(transactions)
    await publish_to_ledger(second, transactions)
    rest = [one for one in letters if one.letter.offset not in done]
    found = await second.publish_letters("acme", redrive(*rest))
    assert sorted(transactions.ids()) == [n for n in range(1, 13) if n % 4]
    assert sorted(marks(transactions)[0]) == [10 + n for n in range(1, 13) if n % 4]
    assert dict(found.left) == {"still odd": 3}


async def publish_to_ledger(publisher, transactions):
    """Give the ledger of a new publisher the events that are on the topic, as loading the shard does."""
    state = publisher._state.organization("acme")
    state.ledger.commit(state.ledger.plan(transactions.events()))


async def test_marks_close_the_letters_for_every_reader():
    publisher, transactions = await opened()
    await publisher.publish_letters("acme", redrive(letter(5, event(1))))
    closings = Closings(JOB)
    for n, one in enumerate(transactions.topics[TOPICS.dead_letters]):
        closings.add(parse_letter(StoredRecord(0, 100 + n, one.key, one.value, tuple(one.headers))))
    assert (
        closings.state(letter(5, "").letter) == closings.state_by_replay(letter(5, "").letter) == "redriven"
    )
