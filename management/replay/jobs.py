"""The replays on their topic: submit one, list all, and change what is wished of one."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from management.formatting import iso_milliseconds, iso_seconds
from management.organizations.store import kafka_errors_as_relay_errors
from management.organizations.validation import InputError
from management.replay.signs import SILENT_MS, LookTiming
from management.replay.view import ReplayView
from relay.destination_changes import Change, record_change
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.kafka.producer import NotWrittenError, TopicWriteError
from relay.kafka.topics import Topics
from relay.replays.job import KnownReplay, ReplayJob, Wish
from relay.replays.store import ReplayStore, ReplayTable

_WORDS: Mapping[Wish, str] = {"running": "resumed", "paused": "paused", "cancelled": "cancelled"}


class UnknownReplayError(InputError):
    """No replay has this id."""


@dataclass(frozen=True, slots=True)
class WishResult:
    """The replay before and after a wish, and whether the wish was written. `failure`: what failed after that; None: nothing."""

    before: ReplayView
    view: ReplayView
    changed: bool
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Replays:
    """All replays, newest first. `problems`: a sentence for each record that cannot be read, which hides its replay."""

    views: Sequence[ReplayView]
    problems: Sequence[str]


async def submit(connection: Connection, job: ReplayJob) -> str | None:
    """Write a new job, and its entry in the history of changes. Return what failed after the job was written; None: nothing.

    Raises RelayError if the job may be on the topic or not.
    """
    with kafka_errors_as_relay_errors(connection):
        await connection.verify()
        try:
            await _store(connection).write_job(job)
        except NotWrittenError as error:
            raise RelayError(f"The replay {job.id} was not started. {error} Try again.") from error
        except TopicWriteError as error:
            raise RelayError(
                f"It is not known whether the replay {job.id} was started: {error} Look with `jira-relay replay show {job.id}`; if there"
                " is none, run the command again."
            ) from error
        change = Change(
            job.destination, job.requested_by, job.requested_at, "replay started", None, facts(job)
        )
        return await _record(connection, change, f"The replay {job.id} is started")


async def read_replays(connection: Connection, now_ms: int) -> Replays:
    """Return all replays. Raises RelayError."""
    table = await _read(connection)
    views = [ReplayView(each, now_ms) for _, each in sorted(table.jobs.items(), reverse=True)]
    return Replays(views, [text for _, text in sorted(table.unreadable.items())])


async def read_replay(
    connection: Connection, replay_id: str, now_ms: int, look: LookTiming | None = None
) -> ReplayView:
    """Return one replay. Raises InputError if there is none, or RelayError.

    `look`: for how long a sign of life is looked for, where the clocks alone say that nobody works on it; None: not at all.
    """
    known, began = require_replay(await _read(connection), replay_id), time.monotonic()
    view, elapsed = ReplayView(known, now_ms), 0.0
    while look is not None and view.is_doubtful:
        await asyncio.sleep(look.interval_seconds)
        found, elapsed = require_replay(await _read(connection), replay_id), time.monotonic() - began
        silent_ms = 0 if found.sign != known.sign else None
        if silent_ms is None and elapsed >= look.seconds:
            silent_ms = SILENT_MS + 1
        view = ReplayView(found, now_ms + round(1000 * elapsed), silent_ms)
    return view


async def set_wish(connection: Connection, replay_id: str, wish: Wish, who: str, now_ms: int) -> WishResult:
    """Pause, resume or cancel a replay. Write nothing if that is wished already.

    Raises InputError for a replay that does not exist, has ended or is cancelled, or RelayError.
    """
    found = require_replay(await _read(connection), replay_id)
    view = ReplayView(found, now_ms)
    if found.job.wished == wish and not found.ended:
        return WishResult(view, view, changed=False)
    _require_open(view, wish)
    job = replace(found.job, wished=wish, wished_at=now_ms, wished_by=who)
    with kafka_errors_as_relay_errors(connection):
        try:
            await _store(connection).write_job(job)
        except NotWrittenError as error:
            raise RelayError(f"The replay {replay_id} was not {_WORDS[wish]}. {error} Try again.") from error
        except TopicWriteError as error:
            raise RelayError(
                f"It is not known whether the replay {replay_id} is {_WORDS[wish]}: {error} Run the command again."
            ) from error
        written = require_replay(await _read(connection), replay_id)
        if written.job.wished != wish:
            await _keep_cancellation(connection, written.job)
            raise RelayError(
                f"{written.job.wished_by} wished the replay {replay_id} {written.job.wished} at the same moment, and that counts."
            )
        change = Change(
            job.destination,
            who,
            now_ms,
            f"replay {_WORDS[wish]}",
            {"id": replay_id, "wished": found.job.wished},
            {"id": replay_id, "wished": wish},
        )
        failure = await _record(connection, change, f"The replay {replay_id} is {_WORDS[wish]}")
    return WishResult(view, ReplayView(written, now_ms), changed=True, failure=failure)


async def _keep_cancellation(connection: Connection, job: ReplayJob) -> None:
    """Write a cancellation again that a wish of the same moment has followed: compaction would keep the wish, which does not count."""
    if job.wished == "cancelled":
        with suppress(
            TopicWriteError
        ):  # its consumer follows the cancellation within seconds, and that is on the topic too
            await _store(connection).write_job(job)


def wish_text(result: WishResult, wish: Wish) -> str:
    """Return what a wish has changed, and when that shows."""
    job = result.view.job
    subject = f"The replay {job.id}"
    if not result.changed:
        return f"{subject} is not paused." if wish == "running" else f"{subject} is {wish} already."
    silent = result.before.unattended_since
    when = (
        "within seconds"
        if silent is None
        else f"as soon as one runs: none has worked on it since {iso_seconds(silent)}"
    )
    if job.content == "unreadable":
        return f"{subject} is {_WORDS[wish]}. Its producers follow {when}; what is published stays."
    match wish:
        case "paused":
            return f"{subject} is paused. Its consumer stops {when}, and its places are kept. Run `jira-relay replay resume {job.id}` to go on."
        case "cancelled":
            return f"{subject} is cancelled. Its consumer stops {when}; what was sent stays at {job.destination}."
    return f"{subject} is resumed. Its consumer goes on from its places {when}."


def facts(job: ReplayJob) -> dict[str, object]:
    """Return a job as the history of changes and `--json` have it, without its ranges."""
    return {
        "id": job.id,
        "content": job.content,
        "by": job.by,
        "from": iso_milliseconds(job.from_ms),
        "to": iso_milliseconds(job.to_ms),
        "organizations": list(job.organizations),
        "events": list(job.events),
        "where": job.where,
        "reason": job.reason,
        "archive": job.archive,
        "to_live": job.to_live,
        "rate": job.rate,
        "target": job.target,
        "lost_range": None if job.lost is None else job.lost.name,
    }


def _store(connection: Connection) -> ReplayStore:
    return ReplayStore(connection, Topics(connection.kafka.topic_prefix).replays)


async def _read(connection: Connection) -> ReplayTable:
    with kafka_errors_as_relay_errors(connection):
        await connection.verify()
        return await _store(connection).read()


def require_replay(table: ReplayTable, replay_id: str) -> KnownReplay:
    """Return a replay. Raises InputError if there is none, and RelayError if its record cannot be read."""
    if replay_id in table.jobs:
        return table.jobs[replay_id]
    unreadable = [text for key, text in table.unreadable.items() if key.partition(".")[0] == replay_id]
    if unreadable:
        raise RelayError(f"{unreadable[0]} A release that wrote it can show it.")
    raise UnknownReplayError(f"There is no replay {replay_id}; `jira-relay replay list` shows all.")


def _require_open(view: ReplayView, wish: Wish) -> None:
    job = view.job
    if view.ended:
        raise InputError(
            f"The replay {job.id} has ended ({view.state}), so it cannot be {_WORDS[wish]}. Start another one instead."
        )
    if job.wished == "cancelled":
        raise InputError(
            f"{job.wished_by} has cancelled the replay {job.id}, so it cannot be {_WORDS[wish]}. Start another one instead."
        )


async def _record(connection: Connection, change: Change, done: str) -> str | None:
    try:
        await record_change(connection, change)
    except TopicWriteError as error:
        return f"{done}, but the history of changes does not show it: {error}"
    return None
