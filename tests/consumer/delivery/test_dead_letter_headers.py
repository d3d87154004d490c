"""The headers of a consumer's dead letters."""

from consumer.delivery.dead_letters import DeadLetterWriter
from relay.dead_letters.letter import parse_letter
from tests.support.dead_letters import AT, StoredRecord


class RecordingWriter:
    """Remembers the headers of each record that is sent."""

    def __init__(self):
        self.headers = []

    async def send(self, _topic, _key, _value, *, partition, headers):
        assert partition is None  # by its key
        self.headers.append(tuple(headers))
        return len(self.headers)


async def test_a_letter_has_the_fields_of_its_flow_behind_the_headers_of_its_record():
    """Further fields are added, and replace the relay's own of the same name; the record's headers stay in front."""
    writer = RecordingWriter()
    letters = DeadLetterWriter(
        writer,
        "p.dead-letters",
        "sentinel",
        lambda: AT,
        fields=lambda record: {"flow": "live", "offset": f"{record.offset}0"},
    )
    await letters.put(
        StoredRecord(3, 7, headers=(("relay.replay", b"refill"),), topic="p.events"), "too odd", 400
    )
    letter = parse_letter(StoredRecord(1, 1, headers=writer.headers[0]))

    assert letter.original_headers == (("relay.replay", b"refill"),)
    assert letter.original == ("p.events", 3, 70)
    assert (letter.headers["flow"], letter.headers["status"], letter.destination) == (
        "live",
        "400",
        "sentinel",
    )
    assert "replay" not in letter.headers
