"""The page of one organization: its transitions, its backfill, and what happened lately."""

import pytest

from relay.change_log import write_change
from relay.dead_letters.letter import relay_headers
from relay.kafka.producer import RecordWriter
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from relay.kafka.transactions import TransactionalProducer
from relay.status.model import Transition
from relay.timestamps import DAY_MS, now_ms
from tests.support.console import open_console
from tests.support.kafka import connection_to
from tests.support.messages import event
from tests.support.pipeline_world import to_record
from tests.support.views import NOW, organization, status


async def test_transitions_say_how_long_each_state_lasted(console):
    """The newest is first, and lasts until now; the backfill has its part of the time."""
    transitions = (
        Transition(NOW - 7_200_000, "failing", "the key is wrong"),
        Transition(NOW - 1_800_000, "active", None),
    )
    shown = status(transitions=transitions, backfilled_to=NOW - 25 * DAY_MS)
    console.show([organization(added=NOW, backfill_from=NOW - 100 * DAY_MS)], {"acme": shown})
    await console.sign_in()
    page = await console.page("/organization?name=acme")

    assert page.index("until now") < page.index(">1 h<")
    assert '<progress max="100" value="25.0"' in page
    assert "the checkpoint cannot be read" in page
    assert 'hx-get="/organization/activity?name=acme"' in page

    console.show(
        [organization(added=NOW)],
        {"acme": status(transitions=transitions, at=NOW - 120_000, valid_until=NOW - 60_000)},
    )
    unattended = await console.page("/organization?name=acme")
    assert "until now" not in unattended, "no producer has said so for two minutes"
    assert "at least</td>" in unattended


async def test_what_cannot_be_read_is_named_part_by_part(console):
    """Without Kafka the page answers, and each part has the cause."""
    console.show([organization()])
    await console.sign_in()
    page = await console.page("/organization/activity?name=acme")

    assert page.count("This cannot be read now.") == 4
    assert "127.0.0.1:1" in page
    assert "No such organization" in await console.page("/organization/activity?name=other", 404)


@pytest.fixture
async def busy(kafka, prefix):
    """A console with a Kafka in which one organization has events, a late one, a dead letter and a change."""
    connection = connection_to(kafka, prefix, shards=1)
    await create_missing_topics(connection)
    topics = Topics(prefix)
    events = [event(number, organization="acme", summary=f"Event {number}") for number in range(15)]
    events[3] |= {"mode": "late", "summary": "Seen late"}
    others = [event(99, organization="beta", summary="Of another")]
    producer = await TransactionalProducer.open(connection, f"{prefix}.test")
    await producer.publish([to_record(each, topics.events, 1) for each in (*events, *others)])
    await producer.discard()
    async with RecordWriter(connection) as writer:
        headers = relay_headers({"reason": "<i>too odd</i>", "destination": "soc"})
        await writer.send(topics.dead_letters, b"acme", b"x", partition=0, headers=headers)
    await write_change(connection, "acme", "bert", 1, "modified", {"url": "a"}, {"url": "b"})
    async with open_console(connection) as console:
        console.clock.ms = now_ms()
        console.show([organization("acme"), organization("beta")])
        yield console


async def test_the_last_events_dead_letters_and_changes_are_there(busy):
    """Ten events at most, the late ones apart, the letters with their reason as text, and its own changes alone."""
    await busy.sign_in()
    page = await busy.page("/organization/activity?name=acme")
    last, late, letters, changes = (
        page[page.index(begin) : page.index(end)]
        for begin, end in (
            ("Last events", "Late arrivals"),
            ("Late arrivals", "<h2>Dead letters"),
            ("<h2>Dead letters", "<h2>Changes"),
            ("<h2>Changes", "</main>"),
        )
    )

    assert last.count("<tr>") - 1 == 10
    assert "Event 14" in last
    assert "Of another" not in page
    assert "Seen late" in late
    assert late.count("<tr>") - 1 == 1
    assert "&lt;i&gt;too odd&lt;/i&gt;" in letters
    assert "<del>a</del> → <ins>b</ins>" in changes
    assert "None." in await busy.page("/organization/activity?name=beta")
