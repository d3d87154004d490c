"""One dead letter: its content, what became of it, and how many others have the same reason.

A producer writes those of records that it could not read or publish, a consumer those of events that a destination rejected.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from management.dead_letter_summary import LetterSummary, ReasonGroup
from management.decoding import DecodedRecord, open_decoder
from management.organizations.store import kafka_errors_as_relay_errors
from management.organizations.validation import InputError
from relay.config.schema_registry import SchemaRegistryConfig
from relay.dead_letters.assembly import MAX_INTERLEAVED, LetterAssembler, WholeLetter
from relay.dead_letters.letter import DeadLetter, address_of, parse_letter
from relay.dead_letters.log import LetterLog, open_letter_log
from relay.errors import RelayError
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection

MAX_FOREBEARS = 100


class UnknownLetterError(RelayError):
    """The topic has no dead letter at this address, or not any more."""


@dataclass(frozen=True, slots=True)
class DeadLetterContent:
    """A dead letter with its original bytes. `remark`: why they are incomplete or not decoded; None: there is nothing to say.

    `decoded` None: the content is not a record of the relay, or its schema is not known.
    """

    dead_letter: DeadLetter
    content: bytes
    remark: str | None = None
    decoded: DecodedRecord | None = None


@dataclass(frozen=True, slots=True)
class DeadLetterStory:
    """What is known of a letter beside its content. `first_at`: when its record was refused first, in ms UTC.

    `closed_by`: the mark, or the letter of its next refusal; None: it is open. `group`: the letters of the same reason.
    `written_anew`: its writing was given up, and another letter has the whole record.
    """

    first_at: int
    closed_by: DeadLetter | None
    group: ReasonGroup
    written_anew: bool = False


def parse_address(address: str) -> tuple[int, int]:
    """Parse PARTITION/OFFSET. Raises InputError."""
    partition, _, offset = address.partition("/")
    if not (partition.isdecimal() and offset.isdecimal() and len(address) <= 30):
        raise InputError(
            "The address of a dead letter must be PARTITION/OFFSET, such as 3/17; `jira-relay dead-letters list` shows them."
        )
    return int(partition), int(offset)


async def read_dead_letter(
    connection: Connection, partition: int, offset: int, registry: SchemaRegistryConfig | None = None
) -> DeadLetterContent:
    """Return the whole dead letter that has a part at this offset, decoded if `registry` is given. Raises RelayError."""
    with kafka_errors_as_relay_errors(connection):
        async with open_letter_log(connection) as log:
            whole = await _find_letter(log, partition, offset)
        content, remark = whole.content()
        if registry is None or remark is not None:
            return DeadLetterContent(whole.letter, content, remark)
        async with open_decoder(registry, connection) as decoder:
            decoded, remark = await decoder.decode(content)
        return DeadLetterContent(whole.letter, content, remark, decoded)


async def read_story(connection: Connection, letter: DeadLetter) -> DeadLetterStory:
    """Return what is known of a letter beside its content. Reads the whole topic, in bounded memory. Raises RelayError."""
    with kafka_errors_as_relay_errors(connection):
        async with open_letter_log(connection, on_corrupt=lambda _: None) as log:
            summary, written_anew = LetterSummary(), False
            async for whole, state in log.letters():
                summary.add(whole.letter, state)
                if (whole.letter.partition, whole.letter.offset) == (letter.partition, letter.offset):
                    written_anew = whole.is_cut_short and state == "duplicate"
            group = summary.group_of(letter) or ReasonGroup(letter.written_by, letter.reason)
            return DeadLetterStory(
                await _first_at(log, letter), await _find_closing(log, letter), group, written_anew
            )


async def _find_letter(log: LetterLog, partition: int, offset: int) -> WholeLetter:
    """Return the letter with a part at this offset. Two letters of one moment may share the key, so all are joined in order."""
    found = [record async for record in _records(log, partition, offset, offset + 1)]
    if not found:
        raise _not_found_error(partition, offset)
    letter = parse_letter(found[0])
    if letter.is_mark:
        raise RelayError(
            f"Record {letter.address} is no dead letter: it marks {letter.headers['redriven']} as redriven by the replay"
            f" {letter.headers.get('replay', 'unknown')}."
        )
    (number, count), assembler = letter.part, LetterAssembler()
    first, end = offset - number - MAX_INTERLEAVED, offset + count - number + MAX_INTERLEAVED + 1
    window = (offset, offset + 1) if count == 1 else (first, end)
    async for record in _records(log, partition, *window):
        for whole in assembler.add(record):
            if offset in whole.offsets:
                return whole
    return next(whole for whole in assembler.finish() if offset in whole.offsets)


async def _find_closing(log: LetterLog, letter: DeadLetter) -> DeadLetter | None:
    """Return the record that closes the letter: a mark before a letter of the next refusal."""
    tp, successor = TopicPartition(log.topic, letter.partition), None
    start, end = {tp: letter.offset}, {tp: log.bounds[tp].last_stable_offset}
    async for records in log.reader.batches(start, end, lambda _: None):
        for found in map(parse_letter, records):
            if found.closes(letter):
                if found.is_mark:
                    return found
                successor = successor or found
    return successor


async def _first_at(log: LetterLog, letter: DeadLetter) -> int:
    """Return when the record of a letter was refused first, as far as Kafka still has its former letters."""
    current = letter
    for _ in range(MAX_FOREBEARS):
        if current.forebear is None or current.forebear >= current.offset:
            break
        former = current.forebear
        found = [record async for record in _records(log, letter.partition, former, former + 1)]
        if not found:
            break
        parsed = parse_letter(found[0])
        if not current.closes(parsed):
            break
        current = parsed
    return current.at


async def _records(log: LetterLog, partition: int, first: int, end: int) -> AsyncIterator[Record]:
    """Yield the records of a partition from `first` to before `end`, as far as the topic has them."""
    tp = TopicPartition(log.topic, partition)
    if tp not in log.bounds:
        return
    start, end = max(first, log.bounds[tp].log_start_offset), min(end, log.bounds[tp].last_stable_offset)
    if start < end:
        async for records in log.reader.batches({tp: start}, {tp: end}):
            for record in records:
                yield record


def _not_found_error(partition: int, offset: int) -> UnknownLetterError:
    return UnknownLetterError(
        f"Dead letter {address_of(partition, offset)} does not exist; `jira-relay dead-letters list` shows those that do."
    )
