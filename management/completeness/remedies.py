"""What no job of the relay mends about a day: why, and what to do. Pure."""

from collections.abc import Iterator

from management.completeness.proof import DayAccount
from management.completeness.texts import ids_text

_OF_KINDS = {
    "deleted": "The events {ids} were deleted from their topic. Destinations that had them keep them; for one that lacks them run"
    " `jira-relay replay start --destination NAME --refill --organization {organization} --from {day}`.",
    "removed": "The audit log lists the events {ids} no more. Kafka and the destinations keep them, and nothing is to be done.",
    "altered": "The audit log shows other content of the events {ids}. Kafka keeps what it showed first.",
    "unrecorded": "The ledger lacks the events {ids}. The producer mends that when it takes the partition over.",
    "repeated": "Kafka has the events {ids} more than once. Their rows share one EventUid, so a reader can leave the repeats out.",
}
"""Differences between audit log and Kafka, by kind."""


def remedies(account: DayAccount) -> Iterator[str]:
    """Yield a sentence or two for each departure of a day that no job mends."""
    yield from _of_source(account)
    for kind, ids in account.differences.named().items():
        if kind in _OF_KINDS:
            yield _OF_KINDS[kind].format(
                ids=ids_text(ids), organization=account.organization, day=account.day
            )
    yield from _of_kafka(account)


def _of_source(account: DayAccount) -> Iterator[str]:
    source = account.source
    if source is None or source.failure is not None:
        why = "it was not asked" if source is None else source.failure
        yield f"Without the audit log it is not known what Kafka lacks ({why}). Plan again once it can be listed."
        return
    if source.awaited:
        yield "Polling has not come to some events yet; the status of the organization says why."
    if source.unreadable:
        yield "Records of the audit log cannot be read; the next re-read makes them dead letters."


def _of_kafka(account: DayAccount) -> Iterator[str]:
    kafka = account.kafka
    if not kafka.kept:
        yield "Kafka's retention has come to this day, so its contents cannot be compared any more. A longer retention keeps later days."
    if kafka.undecodable:
        yield (
            f"{kafka.undecodable:,} records of Kafka cannot be decoded, and may be events of this day. A newer release, or the schema"
            " registry that had their schemas, may read them."
        )
    if kafka.lost_letters:
        yield (
            f"{kafka.lost_letters:,} dead letters of a producer are gone from their topic. Raise its retention, and redrive letters before"
            " it ends."
        )


def remedies_at(account: DayAccount, name: str) -> Iterator[str]:
    """Yield the same for one destination."""
    counts = account.destinations[name].counts
    if count := counts.get("pending", 0):
        yield f"{name} has {count:,} events before it. `jira-relay destinations show {name}` says why."
    if count := counts.get("not known", 0):
        yield (
            f"{name} may lack {count:,} events that Kafka has deleted. `jira-relay destinations lost {name}` lists what it lost, with the"
            " command that brings it back."
        )
    if (found := account.read_back.get(name)) is not None and not found.is_known:
        yield f"{name} did not show all that it has. Plan again once it does."
