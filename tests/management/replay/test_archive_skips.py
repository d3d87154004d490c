"""Events that an operator skipped for an archive are named before a replay begins."""

from hypothesis import given
from hypothesis import strategies as st

from management.replay.archive_skips import skipped_ranges, skips_note
from relay.destination_changes import Change, record_change
from relay.kafka import TopicPartition
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from relay.replays.job import ReplayRange
from tests.support.kafka import connection_to

TP = TopicPartition("events", 0)
offsets = st.integers(0, 20)


@given(st.lists(st.tuples(offsets, offsets)))
def test_what_was_skipped_and_not_made_up_for_is_known(moves):
    """A skip leaves offsets out, and a rewind gives them to the destination again."""
    expected = set()
    for before, after in moves:
        expected = (expected | set(range(before, after))) - set(range(after, before))
    found = skipped_ranges((TP, before, after) for before, after in moves)
    assert {
        each for ranges in found.values() for start, stop in ranges for each in range(start, stop)
    } == expected


def facts(flow, **moved):
    return {
        "flow": flow,
        "events": 5,
        "offsets": {number.strip("p"): offset for number, offset in moved.items()},
    }


async def test_the_note_names_the_skipped_offsets_of_the_ranges(kafka, prefix):
    connection = connection_to(kafka, prefix, shards=2)
    topics = Topics(prefix)
    events, backfill = topics.events, topics.backfill
    ranges = [ReplayRange(events, 0, 10, 50), ReplayRange(events, 1, 0, 9), ReplayRange(backfill, 0, 0, 9)]
    unknown = await skips_note(connection, "lake", ranges)
    assert "It is not known whether an operator skipped events for the archive lake" in unknown
    await create_missing_topics(connection)
    assert await skips_note(connection, "lake", ranges) is None

    async def change(destination, what, before=None, after=None):
        await record_change(connection, Change(destination, "ann", 1, what, before, after))

    await change("other", "skipped", facts("live", p0=0), facts("live", p0=100))
    await change("lake", "paused")
    await change("lake", "skipped", facts("live", p0=20, p1=9), facts("live", p0=60, p1=12))
    await change("lake", "rewound", facts("live", p0=60), facts("live", p0=40))
    await change("lake", "skipped", facts("history", p0=0), facts("history", p0=3))
    assert await skips_note(connection, "lake", ranges) == (
        f"An operator skipped events for the archive lake: offsets 20 to 39 of {events}/0, offsets 0 to 2 of {backfill}/0."
        " Those that Kafka has deleted are not replayed."
    )
