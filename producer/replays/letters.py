"""The open dead letters of one organization that a producer wrote, read for a redrive."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from pyroaring import BitMap64

from relay.dead_letters.assembly import LetterAssembler, WholeLetter
from relay.dead_letters.closings import Closings
from relay.dead_letters.letter import parse_letter
from relay.dead_letters.log import LetterReader, OpenLetterReader, deleted_before, open_letter_reader
from relay.dead_letters.selection import LetterSelection
from relay.errors import RelayError, describe
from relay.kafka import KAFKA_FAILURES, Record, TopicPartition, partition_text
from relay.kafka.connection import Connection
from relay.kafka.log_reader import CorruptBatchError, LogBounds, TopicReadError
from relay.replays.job import ReplayJob, ReplayRange

CHUNK_LETTERS = 500
CHUNK_BYTES = 4_000_000


class LettersUnavailableError(RelayError):
    """The dead letters cannot be read now. A later attempt may succeed."""


@dataclass(frozen=True, slots=True)
class LetterChunk:
    """Letters of one organization, in the order of the topic, and what was met on the way to them.

    `published` and `known`: letters that the job has marked already. `lost`: offsets that Kafka has deleted. `corrupt`: a sentence
    for each batch that cannot be read.
    """

    letters: Sequence[WholeLetter] = ()
    published: int = 0
    known: int = 0
    lost: int = 0
    corrupt: Sequence[str] = ()


class OpenLetters(Protocol):
    """Where the letters of a job come from."""

    def read(self, job: ReplayJob, organization: str, partition: int) -> AsyncIterator[LetterChunk]:
        """Yield the letters of an organization that were open when the job began. Raises LettersUnavailableError."""


class KafkaLetters:
    """The letters on the dead-letter topic. One organization of the process is read at a time, so memory is bounded."""

    def __init__(self, connection: Connection, open_reader: OpenLetterReader = open_letter_reader) -> None:
        self._connection = connection
        self._open_reader = open_reader
        self._turn = asyncio.Semaphore(1)

    async def read(self, job: ReplayJob, organization: str, partition: int) -> AsyncIterator[LetterChunk]:
        wanted = next((each for each in job.ranges if each.partition == partition), None)
        if wanted is None:
            return
        try:
            async with self._turn, self._open_reader(self._connection) as reader:
                reading = _Reading(reader, job, organization, wanted)
                async for chunk in reading.chunks():
                    yield chunk
        except KAFKA_FAILURES as error:
            raise LettersUnavailableError(
                f"The dead letters of {organization} cannot be read ({describe(error).rstrip('.')}). It is tried again."
            ) from error


class _Reading:
    """One pass over the range of a job, after the marks behind it were looked up."""

    def __init__(self, reader: LetterReader, job: ReplayJob, organization: str, wanted: ReplayRange) -> None:
        self._reader = reader
        self._wanted = wanted
        self._organization = organization
        self._selection = selection_of(job, organization)
        self._job_id = job.id
        self._closings = Closings(job.id)
        self._known = BitMap64()
        """The letters that the job has marked as published before."""
        self._corrupt: dict[int, str] = {}

    async def chunks(self) -> AsyncIterator[LetterChunk]:
        tp, wanted = self._wanted.tp, self._wanted
        bounds = (await self._reader.bounds([tp]))[tp]
        if bounds.last_stable_offset < wanted.end:
            raise TopicReadError(
                f"{partition_text(tp)} ends at offset {bounds.last_stable_offset}, and the replay goes to {wanted.end}"
            )
        start = min(max(wanted.start, bounds.log_start_offset), wanted.end)
        await self._read_marks(tp, start, bounds)
        yield LetterChunk(lost=start - wanted.start)
        found: list[WholeLetter] = []
        assembler, position = LetterAssembler(), start
        async for records in self._reader.batches({tp: start}, {tp: wanted.end}, self._note_corrupt):
            if not records:
                continue
            if lost := await deleted_before(self._reader, tp, position, records[0].offset):
                yield LetterChunk(lost=lost)
            position = records[-1].offset + 1
            found += [whole for record in records for whole in assembler.add(record)]
            if len(found) >= CHUNK_LETTERS or sum(len(one.stored) for one in found) >= CHUNK_BYTES:
                yield self._chunk(found)
                found = []
        lost = await deleted_before(self._reader, tp, position, wanted.end)
        yield LetterChunk(lost=lost, corrupt=[self._corrupt[offset] for offset in sorted(self._corrupt)])
        yield self._chunk([*found, *assembler.finish()])

    def _chunk(self, letters: Sequence[WholeLetter]) -> LetterChunk:
        mine = [each for each in letters if self._selection.keeps(each.letter, "open")]
        marked = [each for each in mine if self._closings.state_by_replay(each.letter) == "redriven"]
        known = sum(each.letter.offset in self._known for each in marked)
        opened = [each for each in mine if self._closings.state(each.letter) == "open"]
        return LetterChunk(opened, len(marked) - known, known)

    async def _read_marks(self, tp: TopicPartition, start: int, bounds: LogBounds) -> None:
        ends = {tp: bounds.last_stable_offset}
        async for records in self._reader.batches({tp: start}, ends, self._note_corrupt):
            self._add_marks(records)

    def _add_marks(self, records: Sequence[Record]) -> None:
        for letter in map(parse_letter, records):
            self._closings.add(letter)
            if letter.was_published_before and letter.headers.get("replay") == self._job_id:
                self._known.add(letter.redriven or 0)

    def _note_corrupt(self, error: CorruptBatchError) -> None:
        self._corrupt[error.next_offset] = f"{error} Its dead letters stay open."


def selection_of(job: ReplayJob, organization: str) -> LetterSelection:
    """Return the letters of an organization that a job is for, whatever their state."""
    return LetterSelection(
        None,
        job.reason,
        frozenset({organization}),
        job.from_ms,
        job.to_ms,
        by_producer=True,
    )
