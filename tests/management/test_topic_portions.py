"""Portions of a copy, and the records that the other Kafka refuses."""

import re
from types import SimpleNamespace

import pytest
from aiokafka.errors import InvalidTimestampError, KafkaError

from management.topic_portions import copy_failure, portions, portions_of_letters
from relay.kafka import TopicPartition
from relay.kafka.publish_errors import publish_error
from relay.kafka.size_refusals import SizeRefusal, SizeRefusedError
from tests.support.dead_letters import letter_record


def test_a_transaction_is_bounded_in_bytes():
    """A record of its own size goes alone; nothing is lost between portions."""
    records = [SimpleNamespace(key=b"k", value=b"v" * (size - 1)) for size in (4, 4, 4, 50, 1, 9)]

    assert [[len(each.value) + 1 for each in portion] for portion in portions(records, 10)] == [
        [4, 4],
        [4],
        [50],
        [1, 9],
    ]
    assert list(portions([], 10)) == []


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        (
            SizeRefusedError(SizeRefusal("p.events", 1_500_000)),
            r"batch of 1500000 bytes\. Raise its max\.message\.bytes there",
        ),
        (InvalidTimestampError(), r"message\.timestamp\.after\.max\.ms=9223372036854775807`"),
        (KafkaError("gone"), r"Kafka rejected a transaction: .*gone"),
    ],
)
def test_a_record_that_the_other_kafka_refuses_names_topic_and_remedy(cause, text):
    """The advice to compare the topics of the old Kafka would lead nowhere, nor would a clock that is right by now."""
    failure = copy_failure(publish_error(cause), TopicPartition("p.events", 2), "new:9092")

    assert re.search(
        rf"^The copy is not whole: p\.events.*2.* at new:9092 could not be written\. .*{text}", failure
    )
    assert failure.endswith("and run the command again.")


def test_a_letter_that_names_another_one_is_written_after_it():
    """Its new place is known only once it is written."""
    letters = [
        letter_record(3),
        letter_record(4, redrive="1/2"),
        letter_record(5, redrive="1/3"),
        letter_record(6, redrive="1/4"),
        letter_record(7, redrive="1/6"),
    ]

    assert [[each.offset for each in part] for part in portions_of_letters(letters)] == [[3, 4], [5, 6], [7]]
    assert list(portions_of_letters([])) == []
