"""A sign-out ends the session itself, so that a copy of the cookie is worth nothing."""

import re

import pytest

from console.auth import SESSION_MS, Access
from console.security import session_cookie
from console.sign_outs import SignOuts
from management.sign_outs import PREFIX
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from relay.status.reader import read_statuses, remove_stale
from tests.support.console import open_console
from tests.support.kafka import connection_to
from tests.support.views import NOW, status


async def sign_out(console):
    """Sign out, and come back with a copy of the cookie."""
    name = session_cookie(console.context)
    copy = console.client.cookies[name]
    response = await console.client.post("/sign-out", data=await console.form("/"))
    assert name not in console.client.cookies
    console.client.cookies.set(name, copy, domain="127.0.0.1", path="/")
    return response


async def test_a_copied_cookie_is_refused_after_the_sign_out(console):
    """Without Kafka this console refuses it all the same, and the page says what is not kept. Another session goes on."""
    console.show()
    await console.sign_in("Berta")
    other = console.client.cookies[session_cookie(console.context)]
    await console.sign_in()
    response = await sign_out(console)
    assert response.headers["location"] == "/login"
    page = await console.page("/login")
    assert re.search(r"Kafka did not keep that: [^<]*[^.]\. A copy of your cookie", page)
    assert (await console.client.get("/")).headers["location"] == "/login"
    assert (await console.client.get("/api/v1/overview")).status_code == 401
    console.client.cookies.set(session_cookie(console.context), other, domain="127.0.0.1", path="/")
    assert "Signed in as Berta" in await console.page("/")


async def test_a_sign_out_at_another_console_counts_here(console):
    """The record of the topic is enough: no console asks another one."""
    await console.sign_in()
    context = console.context
    session = context.session(console.client.cookies[session_cookie(context)])
    console.show()
    await console.page("/")
    key = context.access.sign_out_key(session)
    assert session.id not in key
    snapshot = context.view.snapshot
    context.view.snapshot = type(snapshot)(statuses={key: status("signed out")}, as_of=NOW)
    assert (await console.client.get("/")).headers["location"] == "/login"


async def test_the_record_is_on_the_topic_until_the_session_could_have_ended(kafka, prefix):
    """Another console reads it, after a restart too; twelve hours after the session's end any process deletes it."""
    connection, deleted = connection_to(kafka, prefix, shards=1), []
    await create_missing_topics(connection)
    topic = Topics(prefix).status

    class Writer:
        def tombstone(self, key):
            deleted.append(key)

    async with open_console(connection) as console:
        console.show()
        await console.sign_in()
        assert (await sign_out(console)).headers["location"] == "/login"
        assert "Kafka did not keep that" not in await console.page("/login")
        (key,) = await read_statuses(connection, topic)
        assert key.startswith(PREFIX)
    async with open_console(connection) as other:
        other.client.cookies = console.client.cookies
        await other.context.view.refresh()
        assert (await other.client.get("/")).headers["location"] == "/login"
        await other.context.view.close()
    for at, kept in ((NOW + 2 * SESSION_MS, []), (NOW + 2 * SESSION_MS + 1, [key])):
        await remove_stale(Writer(), connection, topic, at)
        assert deleted == kept


def test_sign_outs_are_bounded_and_leave_with_their_sessions():
    """A person who signs in and out for ever costs no memory."""
    found = SignOuts(most=3)
    for number in range(4):
        found.add(str(number), NOW + 10, NOW)
    assert [each for each in "0123" if each in found] == ["1", "2", "3"]
    found.add("new", NOW + 20, NOW + 10)
    assert [each for each in ("1", "2", "3", "new") if each in found] == ["new"]


@pytest.mark.parametrize("token", ["other", "one"])
def test_the_key_of_a_sign_out_belongs_to_its_session_and_token(token):
    """Who reads the topic cannot make the cookie, and two sessions never share a key."""
    access = Access("one")
    session = access.session(access.sign_in("Anna", NOW), NOW)
    again = Access(token).sign_out_key(session)
    assert (again == access.sign_out_key(session)) == (token == "one")
    another = access.session(access.sign_in("Anna", NOW), NOW)
    assert access.sign_out_key(another) != access.sign_out_key(session)
