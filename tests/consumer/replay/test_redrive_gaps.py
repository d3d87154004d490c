"""A redrive of dead letters on a topic with gaps, with more partitions than before, and with very many letters."""

from collections import Counter

import pytest

from tests.consumer.replay.test_redrive import bench, counts, ids, refusing
from tests.support.in_memory_group import FakeSchemaStore
from tests.support.letter_topic import TOPICS, LetterTopic, RedriveBench
from tests.support.replay_run import MarkedDestination


@pytest.mark.parametrize("at_batch", [1, 3, 5, 6])
async def test_letters_that_kafka_deletes_while_they_are_read_are_lost_and_named(at_batch):
    """Between the passes, and during the one that delivers: each offset was delivered, or counts as lost."""
    topic, batches = LetterTopic(), []
    await topic.refuse(*range(1, 13))
    world = bench(topic)

    def delete():
        batches.append(0)
        topic.starts[0] = 8 if len(batches) > at_batch else 0

    topic.on_batch = delete
    done = await world.run_to_end()
    assert done.sent + done.lost == 12
    assert done.lost in {2, 5, 8}
    assert f"to 7 of {TOPICS.dead_letters}/0" in done.reason
    assert set(ids(world)) >= {9, 10, 11, 12}


async def test_a_batch_that_cannot_be_read_is_passed_counted_and_named():
    """The letters around it are redriven; those in it stay open."""
    topic = LetterTopic()
    await topic.refuse(*range(1, 13))
    topic.corrupt = range(4, 7)
    world = bench(topic)
    done = await world.run_to_end()
    assert (ids(world), counts(done)) == ([1, 2, 3, 4, 8, 9, 10, 11, 12], (9, 0, 0, 3))
    assert "a readable copy of offsets 4 to 6 of p.dead-letters/0" in done.reason
    assert [topic.states()[f"0/{offset}"] for offset in range(3, 8)] == [
        "redriven",
        *["open"] * 3,
        "redriven",
    ]


async def test_a_letter_that_fails_again_closes_the_former_one_after_partitions_were_added():
    """New letters of the key go to another partition then; the successor goes to that of the letter that it names."""
    topic = LetterTopic()
    await topic.refuse(1, 2)
    topic.places = dict.fromkeys(topic.places, 1)
    done = await bench(topic, refusing(2)).run_to_end()
    assert counts(done) == (1, 0, 1, 0)
    states = topic.states()
    # The mark of the first letter is before the successor of the second one, or behind it.
    assert (states.pop("0/0"), states.pop("0/1"), *states.values()) == ("redriven", "failed again", "open")


@pytest.mark.timeout(300)
async def test_ten_thousand_letters_with_one_that_fails_again():
    """9,999 are redriven and closed, and one has a successor; the counts are those of the topic and of the destination."""
    topic = LetterTopic()
    topic.batch_records = 500
    await topic.refuse(*range(1, 10_001))
    world = RedriveBench(topic, MarkedDestination(refusing(5_000)), FakeSchemaStore())
    done = await world.run_to_end(seconds=200)
    assert (done.state, counts(done)) == ("done", (9_999, 0, 1, 0))
    assert ids(world) == [number for number in range(1, 10_001) if number != 5_000]
    states = Counter(topic.states().values())
    assert states == {"redriven": 9_999, "failed again": 1, "open": 1}
