"""The backup of offsets after a process has left the groups of a destination."""

import asyncio
from dataclasses import replace

import structlog

from consumer.group_names import PipelineFlow
from consumer.offsets.backup import backed_up_offsets, destination_status_key
from consumer.offsets.group_reader import GroupProgress
from consumer.running_pipelines import RunningDestination
from relay.errors import describe
from relay.kafka import KAFKA_FAILURES
from relay.status.model import Status
from relay.status.reader import StatusCache
from relay.status.writer import StatusWriter
from relay.timestamps import now_ms

log = structlog.get_logger(__name__)


async def back_up_left_groups(
    destination: str,
    running: RunningDestination,
    status_cache: StatusCache,
    status_writer: StatusWriter,
    seconds: float,
) -> bool:
    """Put the committed offsets of a destination whose groups have no member any more into its status, for the next flush.

    Members commit before they leave, so of processes that stop together the last one to leave finds the offsets of all. Where
    another process is a member, it or its successor does the same. `seconds`: the bound of the whole. Returns whether it put them.
    """
    if any(each.guard and each.guard.reason_to_leave for each in running.pipelines):
        return False  # paused, or of another target: this process was no member
    key = destination_status_key(destination)
    try:
        async with asyncio.timeout(seconds):
            before = await status_cache.to_continue(key, replaceable=False)
            groups = await _read_groups(running)
            if any(each.members != 0 for each in groups.values()):
                return False
            # read again: its former owner may have ended its validity since
            status = await status_cache.to_continue(key, replaceable=False)
    except KAFKA_FAILURES as error:
        log_missing_backup(destination, describe(error))
        return False
    # a process that has taken it over since may have backed up later offsets than those read
    if status is None or before is None or status.epoch != before.epoch:
        return False
    status_writer.put(key, _with_offsets(status, groups))
    return True


def log_missing_backup(destination: str, reason: str) -> None:
    log.warning(
        "Last offsets were not backed up. Before a switch to a mirror, start and stop the consumer again.",
        destination=destination,
        reason=reason,
    )


async def _read_groups(running: RunningDestination) -> dict[PipelineFlow, GroupProgress]:
    return {
        each.name: await each.read_unjoined() for each in running.pipelines if each.read_unjoined is not None
    }


def _with_offsets(status: Status, groups: dict[PipelineFlow, GroupProgress]) -> Status:
    """Return the status with the offsets. Owner and validity remain, so that a new owner's record replaces this one."""
    committed = {
        flow: {each: progress for each, (progress, _) in group.partitions.items()}
        for flow, group in groups.items()
    }
    older = committed.pop("older", {})
    current = {each: progress for found in committed.values() for each, progress in found.items()}
    return replace(
        status,
        at=now_ms(),
        offsets=backed_up_offsets(status.offsets, current),
        older_offsets=backed_up_offsets(status.older_offsets, older),
    )
