"""`jira-relay replay list`, `show`, `follow`, `pause`, `resume` and `cancel`, beside an owner that the test plays."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

import cli
from relay.avro.codec import InternalCodec
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics
from relay.replays.job import ReplayPlace, ReplayRange
from relay.timestamps import now_ms
from tests.support.replay_owner import PlayedOwner, places_at_end
from tests.support.replays import replay_job
from tests.support.topic_reader import read_topic

RANGES = (ReplayRange("p.events", 0, 100, 300), ReplayRange("p.events", 1, 0, 200))


@pytest.fixture
async def owner(connection):
    async with PlayedOwner(connection) as found:
        yield found


async def started(owner, **fields):
    now = now_ms()
    job = replay_job(
        **{"requested_at": now, "wished_at": now, "ranges": RANGES, "by": "created", "from_ms": 0} | fields
    )
    await owner.store.write_job(job)
    return job


def changes(kafka, prefix):
    return [
        InternalCodec("change").decode(each.value)
        for each in read_topic(kafka.bootstrap, Topics(prefix).changes)
    ]


async def test_replays_are_listed_newest_first_with_their_states_in_words(command_line, owner):
    assert "There are no replays" in (await command_line("replay", "list")).out
    older = await started(owner, id="20261130-071500-ab12", requested_at=1, wished_at=1)
    newer = await started(owner, id="20261130-071501-0001", to_live=True)
    await owner.report(
        newer, "running", read=90, sent=80, skipped=10, places=(ReplayPlace("p.events", 0, 200, ""),)
    )
    await owner.report(older, "running", at=now_ms() - 61_000)

    first, second = (await command_line("replay", "list", "--json")).json
    assert (first["id"], first["state"], first["fraction"], first["sent"]) == (newer.id, "running", 0.25, 80)
    assert (second["id"], second["state"], second["owner"]) == (older.id, "unattended", "host-1")
    shown = (await command_line("replay", "list")).out.splitlines()
    assert "25 %, 80 sent, 10 skipped" in shown[1]
    assert "sentinel (live)" in shown[1]
    assert "unattended" in shown[2]
    assert "host-1 did last" in shown[2]


async def test_a_record_that_cannot_be_read_hides_its_own_replay_and_is_named(
    command_line, owner, connection, prefix
):
    job = await started(owner)
    async with RecordWriter(connection) as writer:
        await writer.send(Topics(prefix).replays, b"20261130-071502-0002", b"of a later release")
    listed = await command_line("replay", "list", "--json")
    assert [each["id"] for each in listed.json] == [job.id]
    assert "20261130-071502-0002 of a replay cannot be read" in listed.err
    assert "cannot be read" in (await command_line("replay", "cancel", "20261130-071502-0002", code=1)).err


async def test_a_replay_is_shown_with_its_places(command_line, owner):
    job = await started(owner, where="category = 'x'", organizations=("acme",), archive="lake", rate=50)
    await owner.report(
        job, "waiting", reason="The destination refuses.", places=(ReplayPlace("p.events", 0, 150, ""),)
    )
    shown = (await command_line("replay", "show", job.id)).out
    for text in (
        "waiting since",
        "The destination refuses.",
        "category = 'x'",
        "acme",
        "lake",
        "at most 50 events/s",
    ):
        assert text in shown
    assert ["p.events", "0", "100", "300", "150", "150"] in [line.split() for line in shown.splitlines()]
    document = (await command_line("replay", "show", job.id, "--json")).json
    assert document["ranges"][1] == {"topic": "p.events", "partition": 1, "start": 0, "end": 200, "place": 0}
    assert document["state_reason"] == "The destination refuses."
    for command in ("show", "follow", "pause", "resume", "cancel"):
        assert "There is no replay 7" in (await command_line("replay", command, "7", code=2)).err


async def test_a_wish_is_written_once_and_recorded(command_line, owner, kafka, prefix):
    """A second one changes nothing and says so."""
    job = await started(owner)
    await owner.report(job, "running")
    assert "is paused. Its consumer stops" in (await command_line("replay", "pause", job.id)).out
    assert "is paused already" in (await command_line("replay", "pause", job.id)).out
    assert (await command_line("replay", "show", job.id, "--json")).json["state"] == "pausing"
    await owner.report(job, "paused")
    resumed = (await command_line("replay", "resume", job.id, "--json")).json
    assert (resumed["wished"], resumed["changed"], resumed["state"]) == ("running", True, "resuming")
    assert "is not paused" in (await command_line("replay", "resume", job.id)).out
    assert "what was sent stays at sentinel" in (await command_line("replay", "cancel", job.id)).out
    assert "is cancelled already" in (await command_line("replay", "cancel", job.id)).out
    assert "has cancelled" in (await command_line("replay", "resume", job.id, code=2)).err
    (found,) = await owner.jobs()
    assert (found.job.wished, "@" in found.job.wished_by) == ("cancelled", True)

    written = changes(kafka, prefix)
    assert [each["what"] for each in written] == ["replay paused", "replay resumed", "replay cancelled"]
    assert {each["organization"] for each in written} == {"destination/sentinel"}
    assert json.loads(written[0]["after"]) == {"id": job.id, "wished": "paused"}


@pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
async def test_a_replay_that_has_ended_keeps_its_end(command_line, owner, state):
    job = await started(owner)
    await owner.report(job, state)
    for command in ("pause", "resume", "cancel"):
        refused = await command_line("replay", command, job.id, code=2)
        assert f"has ended ({state})" in refused.err
    (found,) = await owner.jobs()
    assert found.job.wished == "running"


async def test_a_wish_of_a_job_that_nobody_works_on_says_so(command_line, owner):
    job = await started(owner, requested_at=1, wished_at=1)
    await owner.report(job, "running", at=now_ms() - 61_000)
    assert "none has worked on it since" in (await command_line("replay", "cancel", job.id)).out
    assert (await command_line("replay", "show", job.id, "--json")).json["state"] == "cancelling"


@pytest.mark.parametrize(
    ("state", "fields", "code", "words"),
    [
        ("done", {"sent": 400}, 0, "is done: 400 sent"),
        ("done", {"sent": 390, "lost": 10}, 1, "10 offsets lost"),
        (
            "failed",
            {"reason": "The condition is wrong."},
            1,
            "is failed: 0 sent, in 0 s. The condition is wrong.",
        ),
        ("cancelled", {"sent": 3}, 1, "stays at sentinel"),
    ],
)
async def test_following_ends_with_the_replay(command_line, owner, state, fields, code, words):
    """The exit code is 0 only for a replay that lost nothing."""
    job = await started(owner)
    await owner.report(job, "running", read=100, sent=100, places=(ReplayPlace("p.events", 0, 200, ""),))
    following = owner.follow(command_line("replay", "follow", job.id, code=code))
    await asyncio.sleep(0.5)
    await owner.report(job, state, places=places_at_end(job), **fields)
    ended = await following
    assert words in ended.output
    document = (await command_line("replay", "follow", job.id, "--json", code=code)).json
    assert document["state"] == state


@pytest.mark.usefixtures("command_line")
async def test_ctrl_c_leaves_the_replay_running(owner):
    """The program ends with the commands that follow and end the replay, and without a traceback."""
    job = await started(owner)
    await owner.report(job, "running")
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "replay", "follow", job.id),
        stdout=PIPE,
        stderr=PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])},
    )
    first = await asyncio.wait_for(program.stdout.readline(), 60)
    assert first.startswith(b"0 %")
    program.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(program.communicate(), 60)
    assert program.returncode == 1
    assert f"replay follow {job.id}".encode() in out
    assert f"replay cancel {job.id}".encode() in out
    assert err == b""
    (found,) = await owner.jobs()
    assert (found.job.wished, found.progress.state) == ("running", "running")
