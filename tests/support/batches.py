from consumer.delivery.batch import Rows
from consumer.offsets.tracker import Span
from relay.kafka import TopicPartition
from tests.support.messages import event, message

EVENTS = TopicPartition("events", 0)


def rows(encoded, first=0):
    records = [message(event(first + number)) for number in range(len(encoded))]
    return Rows(encoded, records, (Span(EVENTS, first, first + len(encoded)),))
