"""Rounds over all organizations: each partition of Kafka is read once, in parts that fit the memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from management.completeness.audit_logs import SourceOf
from management.completeness.due_days import MAX_DAYS, DueDays, sealing_days
from management.completeness.progress import ProgressSummary
from management.completeness.progress_follower import ProgressFollower
from management.completeness.sealing import Sealer, SealResult
from management.organizations.store import kafka_errors_as_relay_errors
from management.organizations.validation import InputError
from relay.errors import RelayError, describe, sentence
from relay.kafka.connection import Connection
from relay.kafka.topic_admin import read_shard_count
from relay.kafka.topics import partition_of

MAX_FAILURES = 3
"""Partitions in a row that fail before a round ends: then it is Kafka that fails."""
MAX_EVENTS = 200_000
"""Events that are held at once, by their ledgers; those of one organization are never divided."""

DuePlan = Callable[[str, ProgressSummary], DueDays]
"""Maps an organization and its progress to the days that are due."""


async def seal_round(
    connection: Connection,
    sealer: Sealer,
    names: Sequence[str],
    progress: ProgressFollower,
    plan: DuePlan,
    source_of: SourceOf,
) -> list[SealResult]:
    """Count and seal what is due of all these organizations. A partition that fails holds up no other: each result says so.

    Raises RelayError if the number of shards cannot be read.
    """
    with kafka_errors_as_relay_errors(connection):
        shards = await read_shard_count(connection)
    results, failures = list[SealResult](), 0
    parts = [(number, found) for number in range(shards) if (found := _of_partition(names, number, shards))]
    for done, (number, found) in enumerate(parts, 1):
        try:
            results += await _seal_partition(connection, sealer, number, found, progress, plan, source_of)
            failures = 0
        except RelayError as error:
            failures += 1
            over = sealer.ended or failures == MAX_FAILURES
            left = sum(len(each) for _, each in parts[done:]) if over else 0
            rest = f" {left:,} organizations after it were not sealed." if left else ""
            text = f"{sentence(describe(error))}{rest}"
            results += [SealResult(name, failure=text, is_reached=False) for name in found]
            if over:
                break
    return results


async def _seal_partition(
    connection: Connection,
    sealer: Sealer,
    number: int,
    names: Sequence[str],
    progress: ProgressFollower,
    plan: DuePlan,
    source_of: SourceOf,
) -> list[SealResult]:
    with kafka_errors_as_relay_errors(connection):
        found = await progress.read(number, names)
    due = {name: plan(name, found[name]) for name in names}
    results = list[SealResult]()
    for part in in_parts(due, found):
        results += (await sealer.seal(number, part, source_of)).values()
    return results


def in_parts(
    due: Mapping[str, DueDays], progress: Mapping[str, ProgressSummary], most: int = MAX_EVENTS
) -> Iterator[Mapping[str, DueDays]]:
    """Yield the organizations in parts whose days have at most so many ids in their ledgers. Pure."""
    part, held = dict[str, DueDays](), 0
    for name, days in due.items():
        size = sum(progress[name].counts.get(day, 0) for day in days.all)
        if part and held + size > most:
            yield part
            part, held = {}, 0
        part[name], held = days, held + size
    if part:
        yield part


def _of_partition(names: Sequence[str], number: int, shards: int) -> list[str]:
    return [name for name in names if partition_of(name, shards) == number]


async def seal_due(
    connection: Connection,
    sealer: Sealer,
    names: Sequence[str],
    source_of: SourceOf,
    late_days: int,
    now_ms: Callable[[], int],
) -> list[SealResult]:
    """Seal every day that is over. An organization with more than a month of them takes several rounds."""
    results, progress = list[SealResult](), ProgressFollower(connection)

    def plan(name: str, found: ProgressSummary) -> DueDays:
        return DueDays(sealing_days(found, sealer.index.of(name), now_ms(), late_days))

    while names and not sealer.ended:
        sealed = await seal_round(connection, sealer, names, progress, plan, source_of)
        results += sealed
        names = [each.organization for each in sealed if len(each.counted) == MAX_DAYS]
    return results


async def seal_again(
    connection: Connection, sealer: Sealer, name: str, day: str, source_of: SourceOf
) -> SealResult:
    """Seal a sealed day again if its account has changed. Raises InputError for a day without a seal, and RelayError."""
    seals = sealer.index.of(name)
    if seals.verify_end() is None and day not in seals.sealed:
        raise InputError(
            f"{day} of {name} has no seal yet. Run `jira-relay proof seal {name}`, which seals the days that are over."
        )
    with kafka_errors_as_relay_errors(connection):
        partition = partition_of(name, await read_shard_count(connection))
    result = (await sealer.seal(partition, {name: DueDays(again=[day])}, source_of))[name]
    if result.unread:
        text = (
            f"{day} was not compared, and its seal stays: Kafka's retention or damage has come to its events."
        )
        return replace(result, failure=text)
    return result
