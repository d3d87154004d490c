"""What an operator does about completeness: count, seal and export days, and prove one event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from management.completeness.calendar import Calendar, calendar_of
from management.completeness.canonical import event_key
from management.completeness.collect import ProofContext, count_days
from management.completeness.counted_day import Counted, CountedDay
from management.completeness.export import ProvenEvent, build_export
from management.completeness.merkle import inclusion_path, leaves_of, root_of
from management.completeness.read_back import with_read_back
from management.completeness.seal_store import StoredChain, chain_of, read_chains
from management.completeness.seal_view import PATIENT, SealView
from management.completeness.show import ShownDay, counted_days
from management.completeness.signature import SigningKey
from management.completeness.verifier import RefusedError, leaf_hash, root_of_path, verify
from management.events.lookup import find_event
from management.events.query import read_query
from management.events.stored_event import StoredEvent
from management.organizations.store import kafka_errors_as_relay_errors, read_organizations, require_existing
from management.organizations.validation import InputError
from producer.sources.contract import SourceFactory
from relay.errors import RelayError
from relay.timestamps import day_of


async def show_calendars(context: ProofContext, days: Sequence[str], late_days: int) -> list[Calendar]:
    """Return the calendar of every organization, by name. Raises RelayError."""
    organizations = await read_organizations(context.connection)
    view = SealView(context.connection, context.now_ms, PATIENT)
    if (state := await view.refresh()).failure is not None:
        raise RelayError(state.failure)
    return [
        calendar_of(view.of(name), organizations.get(name), days, context.now_ms(), late_days)
        for name in sorted({*organizations, *view.index.organizations})
    ]


async def show_counted(
    context: ProofContext,
    organization: str,
    days: Sequence[str],
    sources: SourceFactory | None,
    late_days: int,
) -> list[ShownDay]:
    """Return days of an organization as they are counted now. `sources` None: the audit log is not asked. Raises RelayError."""
    found = (await read_organizations(context.connection)).get(organization)
    source = None if sources is None else sources.source_for(require_existing(found, organization))
    stored = await _chain(context, organization)
    counted = await count_days(context, organization, days, source)
    now = context.now_ms()
    counted = await with_read_back(counted, organization, context.destinations, context.connection, now)
    return counted_days(stored, counted, days, context.now_ms(), late_days)


async def _chain(context: ProofContext, organization: str) -> StoredChain:
    with kafka_errors_as_relay_errors(context.connection):
        chains = await read_chains(context.connection)
    return chains.get(organization, chain_of(organization, ()))


@dataclass(frozen=True, slots=True)
class EventProof:
    """What is proven of one event. `reason`: why no seal covers it; None: the latest seal of its day does."""

    event: StoredEvent
    day: str
    content: str
    seal: Mapping[str, Any] | None
    index: int | None
    reason: str | None

    def document(self) -> dict[str, Any]:
        """Return the JSON document, without the content of the event."""
        return {
            "event": self.event.uid,
            "place": str(self.event.address),
            "day": self.day,
            "content": self.content,
            "sealed": self.reason is None,
            "reason": self.reason,
            "index": self.index,
            "seal": None if self.seal is None else dict(self.seal),
        }


async def prove_event(context: ProofContext, uid: str) -> EventProof:
    """Return whether the seal of its day covers an event, ORGANIZATION/ID. Raises NoEventError, InputError or RelayError."""
    event = await find_event(context.connection, context.registry, read_query({"id": uid, "from": ""}), uid)
    name, day, key = event.organization, day_of(event.event["created"]), event_key(event.event)
    stored = await _chain(context, name)
    seal = stored.chain.days.get(day)
    if stored.fault is not None:
        reason = f"The chain of seals is broken, so it proves nothing. {stored.fault}"
        return EventProof(event, day, key.content.hex(), None, None, reason)
    if seal is None:
        return EventProof(event, day, key.content.hex(), None, None, f"{day} has no seal yet.")
    of_the_day = sorted(each.key for each in (await _counted_day(context, name, day)).events)
    leaves = leaves_of(of_the_day)
    if root_of(leaves).hex() != seal["root"]:
        reason = f"The events of {day} have changed since edition {seal['edition']} of its seal, or Kafka has deleted some."
        return EventProof(event, day, key.content.hex(), seal, None, reason)
    index = of_the_day.index(key)
    root = root_of_path(leaf_hash(key.id, key.content), index, len(leaves), inclusion_path(leaves, index))
    fault = None if root is not None and root.hex() == seal["root"] else "Its inclusion proof fails."
    return EventProof(event, day, key.content.hex(), seal, index, fault)


async def _counted_day(context: ProofContext, organization: str, day: str) -> CountedDay:
    counted: Counted = await count_days(context, organization, [day], None)
    return counted.days[day]


async def export_seals(
    context: ProofContext,
    key: SigningKey,
    organizations: Sequence[str],
    first_day: str,
    last_day: str,
    uids: Sequence[str],
) -> bytes:
    """Return the file of an export, which was verified as an auditor verifies it. `organizations` empty: all.

    Raises InputError for an organization without seals, and RelayError for a broken chain, or an event that no seal covers.
    """
    with kafka_errors_as_relay_errors(context.connection):
        chains = await read_chains(context.connection)
    if unknown := [name for name in organizations if name not in chains]:
        raise InputError(f"{unknown[0]} has no seals; `jira-relay proof show` lists the organizations.")
    wanted = {name: each for name, each in chains.items() if not organizations or name in organizations}
    if broken := [each.fault for each in wanted.values() if each.fault is not None]:
        raise RelayError(
            f"Nothing was exported, because a chain of seals is broken. {broken[0]} To export the others, name each with --organization."
        )
    events = [await _proven_event(context, uid) for uid in uids]
    try:
        seals = {name: each.seals for name, each in wanted.items()}
        data = build_export(seals, first_day, last_day, events, key, context.now_ms())
        verify(data)
    except (ValueError, RefusedError) as error:
        raise RelayError(f"Nothing was exported: {error}") from error
    return data


async def _proven_event(context: ProofContext, uid: str) -> ProvenEvent:
    found = await find_event(context.connection, context.registry, read_query({"id": uid, "from": ""}), uid)
    name, day = found.organization, day_of(found.event["created"])
    of_the_day = [each.key for each in (await _counted_day(context, name, day)).events]
    return ProvenEvent(name, day, event_key(found.event), of_the_day)
