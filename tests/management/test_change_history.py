"""The history of changes and views of personal data, on a real Kafka."""

import pytest

from management.change_history import ChangeHistory, ChangeQuery
from management.personal_data import HIDDEN, record_view, without_personal_data
from management.topic_follower import FollowerTiming
from relay.change_log import write_change
from relay.config.kafka import KafkaConfig
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.kafka.topic_admin import create_missing_topics
from relay.timestamps import now_ms
from tests.support.kafka import connection_to
from tests.support.messages import event

AT_ONCE = FollowerTiming(fresh_seconds=0, retry_seconds=0)


async def test_the_history_reads_on_from_where_it_was(kafka, prefix):
    """Each change is there once, the newest first, and a view of personal data is one of them."""
    connection = connection_to(kafka, prefix, shards=1)
    await create_missing_topics(connection)
    history = ChangeHistory(connection, now_ms, AT_ONCE)
    assert (await history.refresh()).failure is None
    assert list(history.select()) == []

    await write_change(connection, "acme", "anna", 1, "added", None, {"url": "https://acme"})
    await history.refresh()
    await record_view(connection, "acme", "acme/17", "bert", 2)
    await history.refresh()
    await history.refresh()

    assert [(each.who, each.what) for each in history.select()] == [
        ("bert", "viewed personal data of acme/17"),
        ("anna", "added"),
    ]
    assert [each.differences() for each in history.select(ChangeQuery(who="anna"))] == [
        [("url", "", "https://acme")]
    ]
    assert not history.is_cut


async def test_a_short_memory_says_that_there_are_older_changes(kafka, prefix):
    """Of many changes the newest are kept, and the history says that it is cut."""
    connection = connection_to(kafka, prefix, shards=1)
    await create_missing_topics(connection)
    for number in range(4):
        await write_change(connection, "acme", f"person {number}", number, "modified")
    history = ChangeHistory(connection, now_ms, AT_ONCE, most=2)
    await history.refresh()

    assert [each.who for each in history.select()] == ["person 3", "person 2"]
    assert history.is_cut


async def test_without_kafka_a_view_is_refused():
    """What cannot be recorded is not shown."""
    connection = Connection(KafkaConfig(bootstrap="127.0.0.1:1"))
    with pytest.raises(RelayError, match="The personal data of acme/17 is not shown"):
        await record_view(connection, "acme", "acme/17", "bert", 2)


def test_values_that_may_be_personal_are_hidden():
    """What, when and where stays; names, addresses, accounts, free text and unknown fields are hidden, None stays None."""
    item = {"id": "a1", "name": "Anna", "typeName": "USER", "parentId": None, "parentName": "Directory"}
    changed = [{"fieldName": "email", "changedFrom": None, "changedTo": "anna@example.com"}]
    found = without_personal_data(
        event(
            7,
            category="user management",
            remoteAddress="192.0.2.1",
            authorKey=None,
            objectItem=item,
            associatedItems=[item],
            changedValues=changed,
            unmodeled='{"name": "Anna"}',
            newField="Anna",
        )
    )

    assert (found["summary"], found["category"], found["id"]) == ("User created", "user management", 7)
    assert found["objectItem"] == {
        "id": HIDDEN,
        "name": HIDDEN,
        "typeName": "USER",
        "parentId": None,
        "parentName": HIDDEN,
    }
    assert found["changedValues"] == [{"fieldName": "email", "changedFrom": None, "changedTo": HIDDEN}]
    assert (found["remoteAddress"], found["authorKey"], found["newField"]) == (HIDDEN, None, HIDDEN)
    assert "Anna" not in str(found)
