"""The invariants of every history."""

from functools import lru_cache

from producer.state import checkpoint as checkpoints
from producer.state.ledger import day_ledger_from_record, is_day_kept, split_progress_key
from relay.avro.codec import InternalCodec
from relay.replays.refill import replay_of
from relay.timestamps import parse_iso
from tests.support.publisher import TOPICS

MAX_DAYS = 11
"""Limit of ledgers: the re-read week, the day until it is due, and the days begun."""


def check_invariants(world):
    """Check at any moment that no event is twice on the log, and when nothing is lost or open, that no cursor is ahead."""
    defects = [one for one in world.log_entries if "defect" in one["event"] or "did not end" in one["event"]]
    assert not defects, defects
    on_log = published(world)
    uids = [
        (name, event["id"], event["variant"]) for (name, _), entries in on_log.items() for _, event in entries
    ]
    assert len(set(uids)) == len(uids), "two events have one EventUid"
    for (name, number), entries in on_log.items():
        assert len(entries) == 1, f"{name} {number} is on the log twice: {entries}"
        entry, event = entries[0]
        assert event["created"] == world.jiras[name].record_times[number].created
        assert entry.timestamp == event["collected"]
        assert (event["mode"] == "backfill") == (entry.topic == TOPICS.backfill)
    if world.unrepaired or any(one.stable < one.end for one in world.log.partitions.values()):
        return
    check_cursors(world)
    _check_state_matches_progress(world.owner.publisher, *progress(world))


def check_cursors(world):
    """Check the cursors as soon as a shard is open, also after Kafka lost records."""
    on_log = published(world)
    for name, checkpoint in progress(world)[0].items():
        assert checkpoint.live_since > world.first_added[name] - 1_000, (
            checkpoint
        )  # Jira's clock tells whole seconds
        world.live_from[name] = min(checkpoint.live_since, world.live_from.get(name, checkpoint.live_since))
        _check_nothing_ahead(world, checkpoint, on_log)


def check_final_state(world):
    """Check after recovery that the log holds every promised event, and Kafka no needless ledger."""
    check_invariants(world)
    assert not world.unrepaired
    on_log = set(published(world))
    found, days = progress(world)
    for name, organization in world.organizations.items():
        if not organization.paused:
            missing = _wanted(world, organization, found[name]) - on_log
            assert not missing, (
                [(key, world.jiras[name].record_times[key[1]]) for key in missing],
                found[name],
            )
            assert not found[name].unread_ranges, found[name]
            assert all(is_day_kept(day, found[name]) for day in days.get(name, ()))
            assert len(days.get(name, ())) <= MAX_DAYS
    for name, number in on_log:
        if name in found:  # else all that was known of it is lost
            since = min(world.live_from[name], world.longest_backfill_from.get(name, world.live_from[name]))
            assert world.jiras[name].record_times[number].created >= since


def published(world):
    """Return all events that readers could see and Kafka has not lost, by organization and number."""
    found = {}
    for topic in (TOPICS.events, TOPICS.backfill):
        for entry in world.log.committed(topic, deleted=True):
            if replay_of(entry.headers) is not None:
                continue
            event = _event(entry.value)
            found.setdefault((event["organization"], int(event["summary"])), []).append((entry, event))
    return found


def check_refill(world):
    """Check that the refill has each record of its window: once, unless Kafka lost the end of a log."""
    job = world.refill
    found = [
        int(_event(entry.value)["summary"])
        for entry in world.log.committed(TOPICS.backfill, deleted=True)
        if replay_of(entry.headers) == job.id
    ]
    for name in job.organizations:
        wanted = {
            number
            for number, record in world.jiras[name].record_times.items()
            if job.from_ms <= record.created < job.to_ms and record.visible <= job.requested_at
        }
        assert wanted <= set(found), wanted - set(found)
    if not world.log_was_cut:
        assert len(found) == len(set(found)), sorted(found)
        assert world.reports[-1].events == len(found)
    assert world.reports[-1].state == "done", world.reports[-1]


def progress(world):
    """Return checkpoints by organization, and ledgers by organization and day, from Kafka."""
    found, days = {}, {}
    for key, value in world.log.table().items():
        name, day = split_progress_key(key.decode())
        if value is not None and day is None:
            found[name] = _checkpoint(value)
        elif value is not None:
            days.setdefault(name, {})[day] = _day(value)
    return found, days


def _check_nothing_ahead(world, checkpoint, on_log):
    """Check that visible records older than a cursor are on the log, and before a pair's offset."""
    name = checkpoint.organization
    unproven = _unproven(world)
    for number, record in world.jiras[name].record_times.items():
        if record.visible > record.created or record.created < checkpoint.live_since:
            continue
        if number in world.jiras[name].removed:
            continue
        if (name, record.created) in unproven:
            continue
        offsets = [entry.offset for entry, _ in on_log.get((name, number), ())]
        in_an_unread_range = any(record.created in unread_range for unread_range in checkpoint.unread_ranges)
        assert offsets or in_an_unread_range or record.created >= checkpoint.window_end, (
            number,
            record,
            checkpoint,
        )
        for pair in checkpoint.pairs:
            if record.created < pair.window_end:
                assert offsets, (number, record, pair)
                assert offsets[0] < pair.offset, (number, record, pair)


def _check_state_matches_progress(publisher, found, days):
    if (
        publisher is None
        or publisher.failed.is_set()
        or publisher._lock.locked()
        or publisher._transactions._producer.fenced
    ):
        return
    states = publisher._state.organizations
    assert {name: one.checkpoint for name, one in states.items() if one.checkpoint} == found
    assert {name: dict(one.ledger.days) for name, one in states.items() if one.ledger.days} == days


def _wanted(world, organization, checkpoint):
    """Return promised records: live ones, and backfill that was wanted throughout or visible from the start."""
    name, live_since = organization.name, checkpoint.live_since
    since = min(live_since, organization.backfill_from or live_since)
    unproven = _unproven(world)
    return {
        (name, number)
        for number, record in world.jiras[name].record_times.items()
        if record.promised
        and number not in world.jiras[name].removed
        and record.created >= since
        and (name, record.created) not in unproven
        and (
            record.created >= live_since
            or record.visible <= world.first_added[name]
            or name not in world.backfill_changed
        )
    }


def _unproven(world):
    """Return the instants that the log reports as unproven."""
    return {
        (one["organization"], parse_iso(one["instant"]).ms) for one in world.log_entries if "instant" in one
    }


@lru_cache(10_000)
def _event(value):
    return InternalCodec("audit_event").decode(value)


@lru_cache(10_000)
def _checkpoint(value):
    return checkpoints.from_record(InternalCodec("checkpoint").decode(value))


@lru_cache(10_000)
def _day(value):
    return day_ledger_from_record(InternalCodec("day_ledger").decode(value))
