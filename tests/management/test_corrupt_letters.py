"""Batches of dead letters that cannot be read are passed, and each is named once."""

from management.corrupt_letters import CorruptLetters
from relay.dead_letters.log import LetterLog
from relay.kafka import TopicPartition
from relay.kafka.log_reader import CorruptBatchError
from tests.support.letter_topic import TOPICS, LetterTopic


async def test_the_letters_around_a_batch_are_read_and_it_is_named_once():
    """The topic is read several times for the states of its letters; a batch of another partition is another one."""
    topic, said = LetterTopic(), []
    await topic.refuse(*range(1, 9))
    topic.corrupt = range(3, 5)
    corrupt = CorruptLetters(said.append)
    tp = TopicPartition(TOPICS.dead_letters, 0)
    log = LetterLog(topic, tp.topic, await topic.bounds([tp]), corrupt.add)
    found = [whole.letter.offset async for whole, _ in log.letters()]
    await log.duplicates(lambda _: True)

    assert found == [0, 1, 2, 5, 6, 7]
    assert said == corrupt.texts
    (text,) = said
    assert "p.dead-letters, partition 0, cannot be read from offset 3 on" in text
    corrupt.add(CorruptBatchError(TopicPartition(tp.topic, 1), 3, 4, "its checksum is wrong"))
    assert len(corrupt.texts) == 2
