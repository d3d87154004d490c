"""The letters of the topic with their states: what is left of writes that were given up, and deleted offsets."""

import pytest

from relay.dead_letters.log import LetterLog, deleted_before
from relay.kafka import TopicPartition
from tests.support.dead_letters import letter_record
from tests.support.letter_topic import TOPICS, LetterTopic

TP = TopicPartition(TOPICS.dead_letters, 0)
REFUSAL = {"destination": "sentinel", "redrive": "0/77"}


async def read(records, start=0):
    topic = LetterTopic()
    topic.records[0] = records
    topic.starts[0] = start
    log = LetterLog(topic, TOPICS.dead_letters, await topic.bounds([TP]))
    return [(whole.letter.offset, whole.missing is None, state) async for whole, state in log.letters()]


def letter(first, numbers, count, at="1", **fields):
    """Return the parts with these numbers of a letter of `count` parts."""
    names = {**REFUSAL, "at": at, **fields}
    return [
        letter_record(first + index, b"x", partition=0, part=f"{number}/{count}", **names)
        for index, number in enumerate(numbers)
    ]


async def test_the_rest_of_a_write_that_was_repeated_is_no_open_letter():
    """Kafka did not confirm the third part, so the letter was written anew, in more parts: the first two are its duplicate."""
    records = [*letter(0, [1, 2], 4), *letter(2, range(1, 7), 6, at="2")]
    assert sorted(await read(records)) == [(0, False, "duplicate"), (2, True, "open")]


@pytest.mark.parametrize(
    ("rest", "later"),
    [
        (letter(0, [1, 2], 4), letter(2, [1, 2], 4, at="2")),
        (letter(0, [1, 2], 4), letter(2, range(1, 5), 4, at="2", redrive="0/78")),
    ],
    ids=["nothing whole", "another record"],
)
async def test_parts_of_a_record_that_is_nowhere_whole_stay_open(rest, later):
    assert (await read([*rest, *later]))[-1 if len(later) == 2 else 1][1:] == (False, "open")


async def test_a_letter_of_which_retention_has_deleted_the_front_stays_open():
    """Its own last part does not make it the duplicate of another letter."""
    assert await read([*letter(0, range(1, 5), 4)], start=2) == [(2, False, "open")]


@pytest.mark.parametrize(
    ("start", "found", "lost"),
    [(0, 4, 0), (3, 4, 3), (9, 4, 4), (3, 1, 0)],
    ids=["a gap", "in part", "all", "a marker"],
)
async def test_deleted_offsets_differ_from_gaps(start, found, lost):
    """Those before the start of the log, and not those of markers and aborted transactions."""
    topic = LetterTopic()
    topic.starts[0] = start
    assert await deleted_before(topic, TP, 0, found) == lost
