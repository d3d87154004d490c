"""Everything we do with Kafka, through TLS and with each kind of login."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from relay.config.kafka import Kafka
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.kafka.producer import Outgoing
from relay.kafka.topic_admin import check, create
from relay.kafka.topics import Topics
from relay.kafka.transactions import Publisher, PublishError
from simulators.faults import answer
from tests.support.group_member import SESSION, Notes, membership
from tests.support.kafka import of_aiokafka
from tests.support.waiting import until


async def opened(given, prefix):
    found = Connection(Kafka(**given, topic_prefix=prefix, shards=1, group_session_timeout_seconds=SESSION))
    await found.verify()
    await create(found)
    return found


def organization(prefix, value):
    return Outgoing(Topics(prefix).organizations, 0, b"acme", value)


@pytest.mark.parametrize("name", ["scram", "mutual", "oauth"])
async def test_a_transaction_and_a_group_go_through_each_door(secure_kafka, issuer, prefix, name):
    """Topics are made, a transaction is committed, and a member of a group reads what it has written."""
    given = {"scram": secure_kafka.scram, "mutual": secure_kafka.mutual}
    there = await opened(given[name]() if name in given else secure_kafka.oauth(issuer), prefix)
    assert not [report for report in await check(there) if report.problems]
    before, notes = of_aiokafka(), Notes()
    publisher = await Publisher.open(there, f"{prefix}.0")
    async with membership(there, notes, prefix):
        await publisher.publish([organization(prefix, b"1"), organization(prefix, b"2")])
        await until(lambda: notes.values == [b"1", b"2"])
        await notes.positions.commit(dict.fromkeys(notes.consumer.assignment(), 2))
    await publisher.discard()

    assert of_aiokafka() <= before
    assert len(issuer.asked) == (name == "oauth")


async def test_all_goes_on_when_kafka_ends_a_login_that_has_become_old(secure_kafka, issuer, prefix, caplog):
    """aiokafka does not log in again in time, so Kafka cuts it off (KIP-368); nothing fails, is repeated, or rebalances."""
    there = await opened(secure_kafka.oauth(issuer, "short"), prefix)
    publisher, notes, written = await Publisher.open(there, f"{prefix}.0"), Notes(), 0
    async with membership(there, notes, prefix):
        while min(cuts(caplog, "sender"), cuts(caplog, "group_coordinator")) < 2:
            written += 1
            assert written < 600
            await publisher.publish([organization(prefix, b"%d" % written)])
            await asyncio.sleep(0.1)
        await until(lambda: len(notes.values) >= written)
    await publisher.discard()

    assert notes.values == [b"%d" % number for number in range(1, written + 1)]
    assert len(notes.assignments) == 1
    assert len(issuer.asked) == 1


def cuts(caplog, part):
    """How often a connection of this part of aiokafka was closed under it."""
    return sum(record.name.endswith(part) and "closed" in record.getMessage() for record in caplog.records)


async def test_all_goes_on_after_no_token_was_to_be_had(secure_kafka, issuer, prefix):
    """Tokens end while nobody gives new ones, and Kafka cuts us off; when they are given again, all goes on by itself."""
    issuer.token_seconds = 4
    there = await opened(secure_kafka.oauth(issuer, "short"), prefix)
    notes = Notes()
    async with AsyncExitStack() as stack:
        member = await stack.enter_async_context(membership(there, notes, prefix))
        await until(lambda: member.trusted)
        issuer.faults.add(answer(503), rate=1)
        await until(lambda: not member.trusted, seconds=40)
        with pytest.raises(PublishError):
            await Publisher.open(there, f"{prefix}.0")
        with pytest.raises(RelayError, match="gives no token for now"):
            await there.verify()
        issuer.faults.clear()
        await until(lambda: member.trusted, seconds=60)
        publisher = await Publisher.open(there, f"{prefix}.0")
        await publisher.publish([organization(prefix, b"after")])
        await until(lambda: notes.values == [b"after"])
        await publisher.discard()
