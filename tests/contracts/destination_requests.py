"""Claims about the rows, the bodies and the single requests of a kind."""

import asyncio

import pytest
from hypothesis import given, settings
from pydantic import SecretStr

from consumer.delivery.batch import Rows
from consumer.destinations.outcome import Dropped, Outcome, Partial, Paused, Retry, Sent
from consumer.offsets.tracker import TrackedRecords
from tests.contracts.destination_case import body_of, body_of_rows, encoded, uids
from tests.support.messages import event, event_lists, message

SIZES = (1, 2, 499, 501, 1000, 2999, 3001, 5000)
"""Rows of one frame. EncodedRows joins a large column by other means than a small one."""


def many_events(count):
    """Return events of two organizations whose ids are equal in pairs."""
    return [event(number // 2, organization=f"org{number % 2}.atlassian.net") for number in range(count)]


def uid(each):
    return f"{each['organization']}/{each['id']}"


def is_sentence(reason):
    """Return whether a reason says what happened: the status shows it as it is, and `429` alone says nothing."""
    return not reason[:1].isdigit() and len(reason.split()) > 2


async def each_answer_has_an_outcome(case):
    """Every answer that the kind knows is the outcome that its page says, no exception, within the time; then the next is sent.

    The rows that the outcome calls accepted are stored, and no others; after a Retry nobody knows.
    """
    for name, answer in case.peer.answers.items():
        stored = len(case.peer.stored())
        answer.play()
        async with asyncio.timeout(case.kind.request_timeout_seconds):
            outcome = await case.live.send(body_of(case.live, [event(number) for number in range(3)]))
        assert type(outcome) is answer.outcome, (name, outcome)
        assert isinstance(outcome, Outcome)
        assert case.kind.classify_status is not None or getattr(outcome, "status", None) is None, name
        if not isinstance(outcome, Sent):
            assert outcome.reason, name
        if isinstance(outcome, Retry | Paused):
            assert is_sentence(outcome.reason), (name, outcome.reason)
        if isinstance(outcome, Dropped):
            assert len(case.peer.stored()) - stored == 3 - outcome.count, name
        elif not isinstance(outcome, Retry):
            named = outcome.rejected.keys() | outcome.retry if isinstance(outcome, Partial) else set()
            accepted = set(range(3)) - named if isinstance(outcome, Sent | Partial) else set()
            assert sorted(case.peer.stored()[stored:]) == uids(sorted(accepted)), name
        answer.over()
        assert await case.live.send(body_of(case.live, [event(9)])) == Sent(), name


async def history_never_reaches_the_live_flow(case):
    """A body of the history flow is stored there alone, and a body of the live flow in live alone."""
    async with case.kind.open("target", case.peer.config, case.kind.request_timeout_seconds) as flows:
        if "history" not in flows:
            pytest.skip("the kind takes no history")
        assert await flows["history"].send(body_of(flows["history"], [event(1)])) == Sent()
        assert await flows["live"].send(body_of(flows["live"], [event(2)])) == Sent()
    assert (case.peer.stored_history(), case.peer.stored()) == (uids([1]), uids([2]))


async def a_request_without_an_answer_ends_within_its_time(case):
    """A peer that never answers is a Retry when the time that `open` was given is over; a cancellation ends the call at once."""
    async with case.kind.open("target", case.peer.config, 0.3) as flows:
        body = body_of(flows["live"], [event(1)])
        release = case.peer.hold()
        async with asyncio.timeout(20):
            assert isinstance(await flows["live"].send(body), Retry)
        call = asyncio.create_task(case.live.send(body))
        await asyncio.sleep(0.1)
        call.cancel()
        await asyncio.wait({call}, timeout=120)
        assert call.cancelled()
        release()


async def any_event_becomes_a_row_within_the_limits(case):
    """One row an event, none larger than a body; a body is exactly as large as its format says, and is built the same twice."""
    body_format = case.live.limits.format

    @given(event_lists)
    @settings(max_examples=60, deadline=None)
    def check(events):
        rows = encoded(case.live, events)
        assert len(rows) == len(events)
        assert rows.longest <= body_format.max_row_bytes
        assert all(body_format.separator not in row for row in rows) or body_format.separator in {b",", b""}
        assert case.live.body(rows) == case.live.body(encoded(case.live, events))

    check()
    long = event(1, description="x" * 5_000_000, unmodeled="y" * 2_000_000)
    assert encoded(case.live, [long]).longest <= body_format.max_row_bytes
    assert len(encoded(case.live, [])) == 0


async def a_row_depends_on_its_event_alone(case):
    """A frame of any size becomes one row an event, in their order, equal to the row of the event in a frame of its own."""
    events = many_events(max(SIZES))
    places = (0, 1, 498, 500, 999, 2998, 3000, 4999)
    alone = {place: list(encoded(case.live, [events[place]])) for place in places}
    for size in SIZES:
        rows = list(encoded(case.live, events[:size]))
        assert len(rows) == len(set(rows)) == size
        for place in places:
            assert rows[place : place + 1] == (alone[place] if place < size else [])


async def rows_are_the_same_in_any_thread(case):
    """Several frames are encoded at a time, in worker threads."""
    frames = [many_events(700)[start : start + 100] for start in range(0, 700, 100)]
    expected = [list(encoded(case.live, each)) for each in frames]
    for _ in range(3):
        made = await asyncio.gather(*(asyncio.to_thread(encoded, case.live, each) for each in frames))
        assert [list(rows) for rows in made] == expected


async def a_full_body_is_stored_whole(case):
    """As many rows as the format admits arrive in one request, in their order; a body of one row too."""
    body_format = case.live.limits.format
    events = many_events(5000)
    rows = encoded(case.live, events)
    fitting = body_format.count_fitting(rows, body_format.overhead, 0)
    for first, stop in ((0, fitting), (len(events) - 1, len(events))):
        part = rows[first:stop]
        before = len(case.peer.stored())
        assert await case.live.send(body_of_rows(case.live, part)) == Sent()
        assert case.peer.stored()[before:] == [uid(each) for each in events[first:stop]]


async def requests_at_a_time_keep_their_rows(case):
    """Several requests at a time store their own rows, each once."""
    events = many_events(200)
    bodies = [body_of(case.live, events[start : start + 20]) for start in range(0, 200, 20)]
    assert await asyncio.gather(*map(case.live.send, bodies)) == [Sent()] * len(bodies)
    assert sorted(case.peer.stored()) == sorted(map(uid, events))


async def a_truncated_event_keeps_its_identity(case):
    """An event that is too large for a row is stored under its own uid."""
    long = event(7, description="x" * 5_000_000, unmodeled="y" * 2_000_000)
    assert await case.live.send(body_of(case.live, [event(6), long, event(8)])) == Sent()
    assert case.peer.stored() == uids([6, 7, 8])


async def the_identity_names_the_target_of_each_flow_without_a_secret(case):
    """It is made of settings, and equal for equal ones; the address of live requests shows a part of it."""
    identity = case.kind.identity(case.peer.config)
    async with case.kind.open("target", case.peer.config, case.kind.request_timeout_seconds) as flows:
        assert identity.keys() == flows.keys()
    assert identity == case.kind.identity(case.peer.config.model_copy())
    assert all(isinstance(text, str) and text for flow in identity.values() for text in flow.values())
    assert all(identity.values())
    assert any(text in case.live.address for text in identity["live"].values())
    secrets = (getattr(case.peer.config, name) for name in type(case.peer.config).model_fields)
    for secret in (each for each in secrets if isinstance(each, SecretStr)):
        for flow in identity.values():
            assert not any(secret.get_secret_value() in text for text in flow.values())


async def the_limits_agree(case):
    """They are constant: a request ends within its limit, a body has room for a row, and more may be in flight than one body."""
    limits = case.live.limits
    assert case.live.limits == limits
    assert limits.request_timeout_seconds == case.kind.request_timeout_seconds < 45
    assert limits.format.max_row_bytes > 0
    assert limits.in_flight_bytes >= limits.format.max_bytes
    assert limits.max_uncommitted >= (limits.format.max_rows or 1)
    assert case.live.address
    assert case.live.config_hint.endswith(".")


async def a_probe_sees_a_wrong_credential(case):
    """`jira-relay check` fails with the reason while the credential is wrong."""
    repair = case.can("break_credential")()
    assert isinstance(await case.live.probe(), Paused)
    repair()
    assert await case.live.probe() == Sent()


async def a_probe_stores_nothing(case):
    """`jira-relay check` makes a request to each flow that stores no row."""
    async with case.kind.open("target", case.peer.config, case.kind.request_timeout_seconds) as flows:
        for each in flows.values():
            assert await each.probe() == Sent()
    assert case.peer.stored() == case.peer.stored_history() == []


async def a_body_is_the_same_on_every_try(case):
    """Names and ids that are made of its offsets do not depend on the try."""
    records = [message(event(number), offset=number) for number in range(5)]
    rows = Rows(encoded(case.live, [event(number) for number in range(5)]), TrackedRecords(records))
    assert case.live.body(rows.encoded) == case.live.body(rows.select(range(5)).encoded)


CLAIMS = (
    each_answer_has_an_outcome,
    history_never_reaches_the_live_flow,
    a_request_without_an_answer_ends_within_its_time,
    any_event_becomes_a_row_within_the_limits,
    a_row_depends_on_its_event_alone,
    rows_are_the_same_in_any_thread,
    a_full_body_is_stored_whole,
    requests_at_a_time_keep_their_rows,
    a_truncated_event_keeps_its_identity,
    the_identity_names_the_target_of_each_flow_without_a_secret,
    the_limits_agree,
    a_probe_stores_nothing,
    a_probe_sees_a_wrong_credential,
    a_body_is_the_same_on_every_try,
)
