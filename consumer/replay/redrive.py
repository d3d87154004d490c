"""The dead letters of one job: the original records of the open letters of a destination, and the marks of delivered ones."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import structlog

from consumer.decoding.schema_lookup import SchemaLookup
from consumer.replay.letter_records import LetterRecord, find_non_events, restore
from consumer.replay.source import Chunk
from consumer.replay.tally import Ending
from relay.dead_letters.assembly import MAX_SPAN, LetterAssembler, WholeLetter
from relay.dead_letters.closings import Closings, LetterState
from relay.dead_letters.duplicates import Duplicates
from relay.dead_letters.letter import (
    FINGERPRINT,
    DeadLetter,
    duplicate_mark_record,
    mark_record,
    refused_by_live,
)
from relay.dead_letters.log import (
    LetterLog,
    LetterReader,
    OpenLetterReader,
    deleted_before,
    open_letter_reader,
)
from relay.dead_letters.selection import LetterSelection
from relay.kafka import Record, TopicPartition, partition_text
from relay.kafka.connection import Connection
from relay.kafka.log_reader import CorruptBatchError, LogBounds, TopicReadError
from relay.kafka.producer import ProducerRecord, RecordWriter
from relay.kafka.topics import Topics
from relay.replays.job import ReplayJob
from relay.timestamps import now_ms

log = structlog.get_logger(__name__)

CHUNK_BYTES = 1_000_000
CHUNK_LETTERS = 500
MARKS_AT_A_TIME = 500

_ENDINGS: Mapping[LetterState, Ending] = {"redriven": "sent", "failed again": "dead_lettered"}


def selection_of(job: ReplayJob, live_topic: str) -> LetterSelection:
    """Return the letters that a job delivers, whatever their state. With `to_live`, those of events that live refused."""
    return LetterSelection(
        job.destination,
        job.reason,
        frozenset(job.organizations),
        job.from_ms,
        job.to_ms,
        refused_by_live_of=live_topic if job.to_live else None,
    )


class RedriveSource:
    """Yields the records of the letters of one job, and closes each letter after its end.

    1. A record that was accepted is marked before the progress that covers it is written; one that is refused again becomes a
       letter that names its forebear, which closes that one. So a death loses no letter, and the next owner knows what ended.
    2. The letters of one refusal that are on the topic twice are delivered once, and both are closed.
    3. A letter that is no event stays open, and is left out with the reason.
    """

    def __init__(
        self,
        connection: Connection,
        job: ReplayJob,
        topics: Topics,
        writer: RecordWriter,
        schemas: SchemaLookup,
        now_ms: Callable[[], int] = now_ms,
        open_reader: OpenLetterReader = open_letter_reader,
    ) -> None:
        self._connection = connection
        self._open_reader = open_reader
        self._job = job
        self._topics = topics
        self._writer = writer
        self._schemas = schemas
        self._now_ms = now_ms
        self._selection = selection_of(job, topics.events)
        self._closings = Closings()
        self._duplicates = Duplicates()

    async def chunks(self, starts: Mapping[TopicPartition, int]) -> AsyncIterator[Chunk]:
        """Yield what is left of the ranges from these positions. Raises an error of KAFKA_FAILURES."""
        left = [
            (each.tp, starts.get(each.tp, each.start), each.end)
            for each in self._job.ranges
            if starts.get(each.tp, each.start) < each.end
        ]
        if not left:
            return
        async with self._open_reader(self._connection) as reader:
            bounds = await reader.bounds([tp for tp, _, _ in left])
            await self._look_up(reader, bounds)
            for tp, position, end in left:
                begin = min(max(position, bounds[tp].log_start_offset), end)
                if position < begin:
                    yield Chunk(tp, (), begin, lost=((position, begin),))
                async for chunk in self._read(reader, bounds[tp], tp, begin, end):
                    yield chunk

    def letter_fields(self, record: Record) -> Mapping[str, str]:
        """Return the fields of the letter that a record becomes when it is refused again: of its original, and its forebear."""
        assert isinstance(record, LetterRecord)  # noqa: S101
        letter = record.letter
        flow = "live" if refused_by_live(letter, self._topics.events) else "history"
        original = {name: letter.headers.get(name, "") for name in ("topic", "partition", "offset")}
        history = {
            "flow": flow,
            "replay": self._job.id,
            "redrive": letter.address,
            FINGERPRINT: letter.fingerprint,
            "tries": str(letter.tries + 1),
        }
        return original | history

    def ending_of(self, record: Record) -> Ending | None:
        """Return how a record ended before an owner of the job died, by the records that close its letter. None: it did not."""
        assert isinstance(record, LetterRecord)  # noqa: S101
        return _ENDINGS.get(self._closings.state_by_replay(record.letter))

    async def confirm(self, delivered: Sequence[Record], dead_lettered: Sequence[Record]) -> None:
        """Mark the letters of accepted records, and the duplicates of all. Raises TopicWriteError; a repeat is harmless."""
        marks = [mark for record in delivered for mark in self._marks(record, accepted=True)]
        marks += [mark for record in dead_lettered for mark in self._marks(record, accepted=False)]
        for start in range(0, len(marks), MARKS_AT_A_TIME):
            await asyncio.gather(*map(self._write, marks[start : start + MARKS_AT_A_TIME]))

    def _marks(self, record: Record, *, accepted: bool) -> list[ProducerRecord]:
        assert isinstance(record, LetterRecord)  # noqa: S101
        letter, now, topic = record.letter, self._now_ms(), self._topics.dead_letters
        marks = [mark_record(topic, letter, record.key, self._job.id, now)] if accepted else []
        duplicates = self._duplicates.of.get((letter.partition, letter.offset), ())
        return marks + [
            duplicate_mark_record(topic, letter, each, record.key, self._job.id, now) for each in duplicates
        ]

    async def _write(self, mark: ProducerRecord) -> None:
        await self._writer.send(
            mark.topic,
            mark.key,
            mark.value,
            partition=mark.partition,
            headers=mark.headers,
            timestamp_ms=mark.timestamp,
        )

    async def _look_up(self, reader: LetterReader, bounds: Mapping[TopicPartition, LogBounds]) -> None:
        """Read which letters are closed, and which are duplicates. Closings are behind their letters, up to the end of the log."""
        firsts = {each.tp: each.start - MAX_SPAN for each in self._job.ranges}
        within = {
            tp: LogBounds(
                max(each.log_start_offset, firsts[tp]), each.last_stable_offset, each.high_watermark
            )
            for tp, each in bounds.items()
        }
        letters = LetterLog(reader, self._topics.dead_letters, within, _log_corrupt, self._job.id)
        self._closings = await letters.closings()
        self._duplicates = await letters.duplicates(self._is_of_job)

    def _is_of_job(self, letter: DeadLetter) -> bool:
        """Return whether the letter was open when the job began: it is open, or the job has closed it."""
        return self._selection.keeps(letter, "open") and (
            self._closings.state(letter) == "open" or self._closings.state_by_replay(letter) in _ENDINGS
        )

    async def _read(
        self,
        reader: LetterReader,
        bounds: LogBounds,
        tp: TopicPartition,
        position: int,
        end: int,
    ) -> AsyncIterator[Chunk]:
        """Yield the letters that are complete from `position` on. The parts of the first ones may be in front of it."""
        if bounds.last_stable_offset < end:
            raise TopicReadError(
                f"{partition_text(tp)} ends at offset {bounds.last_stable_offset}, and the replay goes to {end}; it may come back."
            )
        reached, assembler = max(bounds.log_start_offset, position - MAX_SPAN), LetterAssembler()
        found: list[WholeLetter] = []
        corrupt: list[CorruptBatchError] = []
        async for records in reader.batches({tp: reached}, {tp: end}, corrupt.append):
            for gap in await _gaps(reader, tp, reached, records, end, corrupt):
                if gap.next_offset > position:
                    yield gap
            reached = records[-1].offset + 1 if records else reached
            for record in records:
                found += [
                    whole
                    for whole in assembler.add(record)
                    if whole.missing is None
                    and whole.offsets[-1] >= position
                    and self._is_of_job(whole.letter)
                    and not self._duplicates.contains(whole.letter)
                ]
                if len(found) >= CHUNK_LETTERS or _size(found) >= CHUNK_BYTES:
                    yield await self._chunk(tp, found, record.offset + 1)
                    found = []
            if found:
                yield await self._chunk(tp, found, records[-1].offset + 1)
                found = []
        for gap in await _gaps(reader, tp, reached, (), end, corrupt):
            yield gap
        yield Chunk(tp, (), end)

    async def _chunk(self, tp: TopicPartition, letters: Sequence[WholeLetter], next_offset: int) -> Chunk:
        records, left_out = [], dict[int, str]()
        for index, whole in enumerate(letters):
            record, why = restore(whole, tp.topic)
            records.append(record)
            if why:
                left_out[index] = why
        unclear = [
            index
            for index, record in enumerate(records)
            if index not in left_out and self.ending_of(record) is None
        ]
        no_events = await find_non_events([records[index] for index in unclear], self._schemas)
        left_out |= {unclear[place]: why for place, why in no_events.items()}
        return Chunk(tp, records, next_offset, left_out)


async def _gaps(
    reader: LetterReader,
    tp: TopicPartition,
    reached: int,
    records: Sequence[Record],
    end: int,
    corrupt: list[CorruptBatchError],
) -> Sequence[Chunk]:
    """Return what lies between `reached` and the next records, or `end`, and was not read, in order. Empties `corrupt`.

    Kafka may delete letters while they are read, and an unreadable batch is passed, so that the letters behind it are redriven.
    """
    found = []
    for error in corrupt:
        stop = min(error.next_offset, end)
        place = (error.offset, stop)
        found.append(Chunk(tp, (), stop, lost=(place,), corrupt=frozenset({place})))
    if not corrupt and (
        lost := await deleted_before(reader, tp, reached, records[0].offset if records else end)
    ):
        found.append(Chunk(tp, (), reached + lost, lost=((reached, reached + lost),)))
    corrupt.clear()
    return found


def _log_corrupt(error: CorruptBatchError) -> None:
    log.warning(
        "A batch of dead letters could not be read; a letter that it closed may be delivered again.",
        reason=str(error),
    )


def _size(letters: Sequence[WholeLetter]) -> int:
    return sum(len(whole.stored) for whole in letters)
