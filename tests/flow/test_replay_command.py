"""`jira-relay replay start` from the dry run to the rows, beside a consumer that runs."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections import Counter

import pytest

from consumer.timing import ConsumerTiming, TargetTiming
from relay.timestamps import to_iso
from tests.support.pipeline_world import HISTORY, LIVE, pipeline_world, some_events, uid, wait_until

QUICK = ConsumerTiming(target=TargetTiming(interval_seconds=0.2, handover_seconds=0.1))


async def run(*arguments):
    """Run the program as a process, beside the consumer of this one; return its document."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", *arguments), stdout=PIPE, stderr=PIPE, env=os.environ
    )
    out, err = await program.communicate()
    assert program.returncode == 0, out + err
    return json.loads(out)


@pytest.mark.timeout(240)
async def test_a_replay_brings_exactly_its_window_into_history(kafka, prefix, monkeypatch):
    """The dry run, the counts of the job and the rows agree, and live is untouched."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world, world.consuming(timing=QUICK):
        for name, value in {
            "KAFKA__BOOTSTRAP": kafka.bootstrap,
            "KAFKA__TOPIC_PREFIX": prefix,
            "DESTINATIONS__SENTINEL__ENDPOINT": world.azure.endpoint,
            "DESTINATIONS__SENTINEL__RULE_ID": world.azure.rule_id,
        }.items():
            monkeypatch.setenv(f"RELAY_{name}", value)
        events, older = some_events(300), some_events(40, first=1_000, mode="backfill")
        await world.publish(events)
        await world.publish(older, world.topics.backfill)
        await world.wait_for_events()
        await world.wait_for_events(len(older), HISTORY)
        live, history = (Counter(world.azure.table(each).uid_counts) for each in (LIVE, HISTORY))

        first, last = events[50]["collected"], older[20]["collected"]
        window = ("--from", to_iso(first), "--to", to_iso(last), "--where", "id % 3 = 1")
        wanted = {
            uid(each)
            for each in (*events, *older)
            if first <= each["collected"] < last and each["id"] % 3 == 1
        }
        start = ("replay", "start", "--destination", "sentinel", *window, "--json")
        counted = await run(*start, "--dry-run")
        assert counted["events"] == len(wanted)
        assert Counter(world.azure.table(HISTORY).uid_counts) == history
        done = await run(*start, "--yes")
        assert (done["state"], done["sent"], done["lost"], done["dead_lettered"]) == (
            "done",
            len(wanted),
            0,
            0,
        )
        assert done["fraction"] == 1.0

        expected = history + Counter(wanted)
        await wait_until(lambda: Counter(world.azure.table(HISTORY).uid_counts) == expected)
        assert Counter(world.azure.table(LIVE).uid_counts) == live
        replayed = [row for row in world.azure.rows(HISTORY) if row["EventMode"] == "replay"]
        assert sorted(row["EventUid"] for row in replayed) == sorted(wanted)
        assert {row["ReplayId"] for row in replayed} == {done["id"]}
