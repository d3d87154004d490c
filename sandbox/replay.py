"""One replay of a window into the history of each destination, after the faults."""

import asyncio
from collections.abc import Callable, Sequence

from management import settings
from management.formatting import iso_milliseconds
from management.replay.follow import FollowTiming, follow
from management.replay.jobs import submit
from management.replay.request import ReplayRequest
from management.replay.start import plan_replay
from management.replay.view import ReplayView
from relay.timestamps import now_ms
from sandbox.destinations.contract import DestinationPeer
from sandbox.evidence import read_events
from sandbox.replay_verdict import PlayedReplay, RowCounts
from sandbox.world import SandboxWorld

AUTHOR = "sandbox"
REPLAY_SECONDS = 60.0
ROWS_SECONDS = 10.0
"""How long rows may take to show at a peer after the job is done."""
QUIET_SECONDS = 1.0
_FOLLOW = FollowTiming(interval_seconds=0.2)


async def play_replays(world: SandboxWorld, announce: Callable[[str], None]) -> dict[str, PlayedReplay]:
    """Replay the middle of the collected events to each destination. Without events, to none.

    Raises RelayError when Kafka cannot be read, or the job cannot be written.
    """
    collected = sorted({each.event["collected"] for each in await read_events(world.connection)})
    if not collected:
        return {}
    from_ms, to_ms = middle(collected)
    announce(
        f"Replaying the events collected from {iso_milliseconds(from_ms)} to {iso_milliseconds(to_ms)} into history."
    )
    return {name: await _play(world, name, peer, from_ms, to_ms) for name, peer in world.destinations.items()}


def middle(times: Sequence[int]) -> tuple[int, int]:
    """Return a window, its end excluded, that has about the middle half of these ascending times, and at least one."""
    first, last = times[len(times) // 4], times[3 * len(times) // 4]
    return first, max(first + 1, last)


def count_rows(peer: DestinationPeer) -> RowCounts:
    """Return how many rows a destination has now."""
    return RowCounts(len(peer.rows(history=False)), len(peer.rows(history=True)))


async def _play(
    world: SandboxWorld, name: str, peer: DestinationPeer, from_ms: int, to_ms: int
) -> PlayedReplay:
    before = count_rows(peer)
    destinations = settings.load(world.config, {}).destinations
    request = ReplayRequest(name, from_ms=from_ms, to_ms=to_ms)
    planned = await plan_replay(world.connection, destinations, request, now_ms())
    job = planned.job(AUTHOR, now_ms())
    await submit(world.connection, job)
    view = await _ended(world, job.id)
    state = "not ended in time" if view is None else f"{view.state} {view.reason}".strip()
    if view is not None and view.progress is not None and not peer.keeps_one_copy:
        await _wait_for_rows(peer, before.history + view.progress.sent)
    return PlayedReplay(job.id, from_ms, to_ms, state, before)


async def _ended(world: SandboxWorld, replay_id: str) -> ReplayView | None:
    try:
        async with asyncio.timeout(REPLAY_SECONDS):
            async for view in follow(world.connection, replay_id, now_ms, _FOLLOW):
                if view.ended:
                    return view
    except TimeoutError:
        pass
    return None


async def _wait_for_rows(peer: DestinationPeer, wanted: int) -> None:
    """Wait until the history has so many rows, and then a moment: a repeat would arrive then."""
    loop = asyncio.get_running_loop()
    until = loop.time() + ROWS_SECONDS
    while loop.time() < until:
        if len(peer.rows(history=True)) >= wanted:
            break
        await asyncio.sleep(0.1)
    await asyncio.sleep(QUIET_SECONDS)
