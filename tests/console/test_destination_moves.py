"""Rewind and skip from the pages, on a real Kafka: the count that was confirmed is what moves."""

import re

import pytest

from consumer.losses.lost_range import LostRange
from consumer.losses.store import LossStore
from management.destination_offsets import read_offsets
from relay.kafka.producer import RecordWriter
from tests.support.console import TOKEN
from tests.support.console_operations import commit_live_offsets, open_operations
from tests.support.organizations import read_change_log

BEARER = {"Authorization": f"Bearer {TOKEN}"}
PLAN = re.compile(r'name="plan" value="([^"]+)"')
FORM, COUNT, MOVE = "/destination/move?name=sentinel", "/destination/move/plan", "/destination/move"
REWIND = {"name": "sentinel", "direction": "rewind", "to": "2026-01-01"}
SKIP = {"name": "sentinel", "direction": "skip", "to": "end"}


@pytest.fixture
async def world(kafka, prefix):
    async with open_operations(kafka, prefix) as operations:
        yield operations


async def committed(world):
    live = (await read_offsets(world.connection, "sentinel"))[0]
    return [None if each.progress is None else each.progress.offset for each in live.partitions]


async def test_a_rewind_moves_what_was_counted(world):
    """Without offsets there is nothing to move; the count names events and organizations, and the change its person."""
    await world.publish(range(20))
    refused = await world.send(FORM, COUNT, REWIND)
    assert (refused.status_code, "Kafka has no offset of the live flow" in refused.text) == (422, True)
    await commit_live_offsets(world, 8)
    counted = await world.send(FORM, COUNT, REWIND)
    assert "16 events would be delivered again by the live flow of sentinel" in counted.text
    assert "Deliver 16 events again" in counted.text
    assert await committed(world) == [8, 8]
    moved = await world.send(FORM, MOVE, {"plan": PLAN.search(counted.text)[1]})
    assert moved.headers["location"] == "/destination?name=sentinel"
    assert await committed(world) == [0, 0]
    page = await world.console.page("/destination?name=sentinel")
    assert "16 events will be delivered again" in page
    assert "They do not renew themselves" in page, (
        "a lag of 0 from before the events would be read as good news"
    )
    (change,) = await read_change_log(world.connection)
    assert (change["what"], change["who"]) == ("rewound", "Anna (console)")
    nothing = await world.send(FORM, COUNT, REWIND)
    assert "Nothing to move" in nothing.text


async def test_a_skip_to_the_end_leaves_out_what_was_counted_and_nothing_later(world):
    """Events that come between the count and its confirmation are delivered."""
    await world.publish(range(20))
    await commit_live_offsets(world, 4)
    counted = await world.send(FORM, COUNT, SKIP)
    assert "Leave out 12 events" in counted.text
    await world.publish(range(20, 30))
    await world.send(FORM, MOVE, {"plan": PLAN.search(counted.text)[1]})
    assert await committed(world) == [10, 10]


async def test_a_move_that_is_overtaken_is_shown_again(world):
    """Another operator has moved the offsets: nothing is set, and the new count can be confirmed."""
    await world.publish(range(20))
    await commit_live_offsets(world, 8)
    plan = {"plan": PLAN.search((await world.send(FORM, COUNT, REWIND)).text)[1]}
    await commit_live_offsets(world, 6)
    refused = await world.send(FORM, MOVE, plan)
    assert refused.status_code == 422
    assert "have changed since they were counted" in refused.text
    assert "Deliver 12 events again" in refused.text
    assert await committed(world) == [6, 6]
    await world.send(FORM, MOVE, {"plan": PLAN.search(refused.text)[1]})
    assert await committed(world) == [0, 0]
    world.console.clock.ms += 3_600_001
    assert "older than an hour" in (await world.send(FORM, MOVE, plan | {"name": "sentinel"})).text


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"to": ""}, "Give the time"),
        ({"to": "end"}, "end is no time"),
        ({"to": "2026-01-01", "flow": "other"}, "flow must be"),
    ],
)
async def test_a_move_that_cannot_be_meant_is_refused(console_with_sentinel, fields, reason):
    """Each refusal is above the form, and names what to write."""
    console = console_with_sentinel
    response = await console.client.post(
        COUNT, data=await console.form(FORM) | {"name": "sentinel", "direction": "rewind"} | fields
    )
    assert (response.status_code, reason in response.text) == (422, True)


async def test_a_destination_that_runs_is_paused_first(console_with_sentinel):
    """The form says so, with the button."""
    page = await console_with_sentinel.page(FORM + "&direction=skip")
    assert "sentinel is not paused." in page
    assert 'name="state" value="paused"' in page
    assert "No such destination" in await console_with_sentinel.page("/destination/move?name=other", 404)


async def test_scripts_move_offsets_and_repair_losses(world):
    """The calls have the words of the command line; a lost range has its remedy, and is dismissed once."""
    await world.publish(range(20))
    await commit_live_offsets(world, 8)
    client, root = world.console.client, "/api/v1/destinations/sentinel"
    asked = {"to": "2026-01-01"}
    counted = (await client.post(f"{root}/rewind", json=asked | {"dry_run": True}, headers=BEARER)).json()
    assert (counted["events"], counted["moved"], await committed(world)) == (16, False, [8, 8])
    moved = (await client.post(f"{root}/rewind", json=asked, headers=BEARER)).json()
    assert (moved["events"], moved["moved"], await committed(world)) == (16, True, [0, 0])
    skipped = (await client.post(f"{root}/skip", json={"to": "end"}, headers=BEARER)).json()
    assert (skipped["events"], await committed(world)) == (20, [10, 10])
    for path, body, status in (
        ("rewind", {}, 422),
        ("rewind", asked | {"direction": "skip"}, 422),
        ("lost/dismiss", {"entry": "events/0/1"}, 422),
    ):
        assert (await client.post(f"{root}/{path}", json=body, headers=BEARER)).status_code == status

    at = world.console.clock.ms
    lost = LostRange("sentinel", world.topics.events, 1, 100, 150, 50, None, at, at)
    async with RecordWriter(world.connection) as writer:
        await LossStore(world.connection, world.topics.destinations, writer).write(lost)
    await world.console.context.view.refresh()
    (found,) = (await client.get(f"{root}/lost", headers=BEARER)).json()["ranges"]
    assert (found["entry"], found["lost"]) == (lost.name, 50)
    page = await world.console.page("/destination?name=sentinel")
    assert f"{lost.name}: 50 offsets" in page
    assert "Read from Jira again" in page
    dismissed = await world.send(FORM, "/destination/lost/dismiss", {"name": "sentinel", "entry": lost.name})
    assert dismissed.headers["location"] == "/destination?name=sentinel"
    page = await world.console.page("/destination?name=sentinel")
    assert f"{lost.name} of sentinel is dismissed" in page
    assert "50 offsets" not in page
