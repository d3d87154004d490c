"""The report of a process on its delivery to one destination: which events wait, and how often requests were repeated.

Each process knows that of its own partitions alone, so each reports it, and readers take the reports of all processes together.
"""

import asyncio

from consumer.running_pipelines import RunningDestination, RunningPipeline
from relay.kafka import KafkaError
from relay.status.model import DeliveryReport


async def report_delivery(
    destination: str, running: RunningDestination, since_ms: int, seconds: float
) -> DeliveryReport | None:
    """Return the report. None: this process delivers nothing to it, since its settings name another target.

    `since_ms`: the start of the process, in ms UTC. `seconds`: the longest wait for positions, which then are not known. Older events are left out: each of them waited before the destination began.
    """
    flows = [each for each in running.active if each.name != "older" and not _is_other_target(each)]
    if not flows:
        return None
    states = [each.flow.state for each in running.pipelines]
    repeated = [each.last_retry for each in states if each.last_retry is not None]
    try:
        async with asyncio.timeout(seconds):
            known, waiting = True, [await _waiting_since(each) for each in flows]
    except (KafkaError, TimeoutError):
        known, waiting = False, [each.handler.oldest_ms() for each in flows]
    oldest = min((each for each in waiting if each is not None), default=None)
    return DeliveryReport(
        destination,
        since_ms,
        known,
        oldest,
        sum(each.retries for each in states),
        max(repeated, key=lambda each: each.at, default=None),
    )


def _is_other_target(pipeline: RunningPipeline) -> bool:
    return pipeline.guard is not None and pipeline.guard.problem is not None


async def _waiting_since(pipeline: RunningPipeline) -> int | None:
    """Return when the oldest event was collected that waits; None: none does. Raises KafkaError or TimeoutError: not known."""
    if not pipeline.member.valid:
        raise TimeoutError("the membership is not confirmed")
    if pipeline.coverage.problem is not None:
        raise TimeoutError(pipeline.coverage.problem)
    if pipeline.flow.state.corrupt_batches:
        raise TimeoutError("events behind a corrupt batch are not read")
    return await pipeline.handler.waiting_since()
