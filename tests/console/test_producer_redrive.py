"""Producers' dead letters redriven from the pages and by the API, on a real Kafka; no producer runs."""

import json
import re

from console.permissions import AccessRole
from console.plans import ConfirmedPlan, sign_plan
from consumer.delivery.dead_letters import DeadLetterWriter
from management.replay.live_replays import ReplaySnapshot
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import partition_of
from relay.organizations import OrganizationCodec
from relay.replays.job import KnownReplay
from relay.replays.refill import RefillProgress
from relay.replays.unreadable import PRODUCERS, progress_of_reports
from tests.support.console import TOKEN
from tests.support.console_operations import SHARDS, open_operations
from tests.support.messages import Message
from tests.support.replays import replay_job
from tests.support.views import NOW, organization

BEARER = {"Authorization": f"Bearer {TOKEN}"}
FORM = "/dead-letters/producers"
PLAN = re.compile(r'name="plan" value="([^"]+)"')


async def write_letters(world):
    """Write the organization `acme`, a letter of it whose record this release can read, one whose record it cannot, and one of a deleted organization."""
    async with RecordWriter(world.connection) as writer:
        acme = OrganizationCodec().encode(organization("acme"))
        place = {"partition": partition_of("acme", SHARDS)}
        await writer.send(world.topics.organizations, b"acme", acme, **place)
        letters = DeadLetterWriter(
            writer, world.topics.dead_letters, "", fields=lambda _: {"service": "producer"}
        )
        readable = json.dumps({"id": 7, "created": "2026-09-21T12:00:00.000+0000"}).encode()
        for raw, name in ((readable, b"acme"), (b"{", b"acme"), (b"{", b"gone")):
            await letters.put(Message(raw, name, 1), "no <readable> id")


async def test_producers_letters_are_counted_confirmed_once_and_started(kafka, prefix):
    """The plan names what this release reads and what stays open; its confirmation starts one job, and no second one meanwhile."""
    async with open_operations(kafka, prefix) as world:
        client = world.console.client
        empty = await world.send(FORM, f"{FORM}/plan", {})
        assert "Nothing to redrive" in empty.text
        await write_letters(world)
        listed = await world.console.page("/dead-letters")
        assert f'href="{FORM}?reason=no+%3Creadable%3E+id"' in listed

        calls = "/api/v1/dead-letters/redrive"
        counted = await client.post(calls, json={"producer": True, "dry_run": True}, headers=BEARER)
        assert counted.status_code == 200, counted.text
        (replay,) = counted.json()["replays"]
        assert (counted.json()["started"], replay["letters"], replay["destination"]) == (False, 1, PRODUCERS)
        wrong = await client.post(calls, json={"producer": True, "to_live": True}, headers=BEARER)
        assert (wrong.status_code, "to_live" in wrong.json()["detail"]) == (422, True)
        assert await world.jobs() == []

        planned = await world.send(FORM, f"{FORM}/plan", {"reason": "no <readable>"})
        assert (
            "The producers read 2 dead letters again. This release reads 1 of their records" in planned.text
        )
        assert "1 letter stays open: The organization gone was deleted" in planned.text
        plan = {"plan": PLAN.search(planned.text)[1]}
        started = await world.send(FORM, FORM, plan)
        (job,) = await world.jobs()
        assert (job.content, job.organizations, job.requested_by) == (
            "unreadable",
            ("acme",),
            "Anna (console)",
        )
        assert started.headers["location"] == f"/replay?id={job.id}"
        assert (await world.send(FORM, FORM, plan)).headers["location"] == f"/replay?id={job.id}"
        page = await world.console.page(f"/replay?id={job.id}")
        assert "to the topics of events, for every destination" in page
        assert "/destination?name=producers" not in page

        other = await world.send(FORM, f"{FORM}/plan", {})
        refused = await world.send(FORM, FORM, {"plan": PLAN.search(other.text)[1]})
        assert refused.status_code == 422
        assert f"The replay {job.id} redrives producers&#39; dead letters of acme already" in refused.text
        again = await client.post(calls, json={"producer": True}, headers=BEARER)
        assert (again.status_code, "already" in again.json()["detail"]) == (422, True)
        assert len(await world.jobs()) == 1


async def test_the_bar_of_producers_is_the_share_of_organizations_that_are_done(console):
    """No place in Kafka says how far producers are: each organization reports its end."""
    job = replay_job(content="unreadable", destination=PRODUCERS, organizations=("acme", "umbra"))
    report = RefillProgress(job.id, "acme", "done", NOW - 2_000, NOW - 1_000, events=3).to_value()
    reports = {"acme": report}
    await console.sign_in()
    console.show(replays=ReplaySnapshot((KnownReplay(job, progress_of_reports(job, reports), reports),)))
    page = await console.page(f"/replay?id={job.id}")
    assert 'value="500"' in page
    assert "3 published" in page
    assert "what is published stays published" in page


async def test_a_plan_needs_an_operator_and_is_of_its_own_kind(console):
    """A viewer gets no form, and the plan of another redrive starts nothing."""
    await console.sign_in()
    console.show()
    fields = await console.form(FORM)
    plan = sign_plan(console.context, ConfirmedPlan("redrive", (replay_job(requested_at=NOW),), ("x",)))
    refused = await console.client.post(FORM, data=fields | {"plan": plan})
    assert (refused.status_code, "not made by this console" in refused.text) == (422, True)
    odd = await console.client.post(f"{FORM}/plan", data=fields | {"destination": "sentinel"})
    assert (odd.status_code, "is not a field" in odd.text) == (422, True)
    away = await console.client.post(f"{FORM}/plan", data=fields)
    assert (away.status_code, "127.0.0.1:1" in away.text) == (503, True)
    console.sign_in_as(AccessRole.VIEWER)
    await console.page(FORM, 403)
