from consumer.delivery.batch import Rows
from consumer.offsets.tracker import SequenceRange
from relay.kafka import TopicPartition
from tests.support.messages import event, message

EVENTS = TopicPartition("events", 0)


def rows(encoded, first=0):
    records = [message(event(first + number)) for number in range(len(encoded))]
    return Rows(encoded, records, (SequenceRange(EVENTS, first, first + len(encoded)),))
