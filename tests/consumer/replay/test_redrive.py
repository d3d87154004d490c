"""A redrive of dead letters: each open letter of the destination once, and every death survived."""

from dataclasses import replace

import pytest

from consumer.destinations.contract import BodyFormat, Limits
from consumer.destinations.outcome import Partial, Sent
from consumer.replay.letter_records import NO_EVENT
from relay.replays.job import ReplaySkip
from tests.support.dead_letters import AT
from tests.support.in_memory_group import FakeSchemaStore
from tests.support.letter_topic import LetterTopic, RedriveBench
from tests.support.messages import Message, event, message
from tests.support.replay_run import TIMING, MarkedDestination

SMALL = Limits(BodyFormat(1_000_000, b"[", b",", b"]", max_rows=4))
JOB = "20261130-071500-ab12"


def number_of(row):
    return int(row.split(b":")[1])


def refusing(*numbers):
    """Return an answer that rejects the rows of these events and accepts the others."""

    def answer(rows):
        rejected = {index: "still odd" for index, row in enumerate(rows) if number_of(row) in numbers}
        return Partial(rejected, frozenset(), 400) if rejected else Sent()

    return answer


def bench(topic, answer=lambda _rows: Sent(), **job):
    return RedriveBench(topic, MarkedDestination(answer, limits=SMALL), FakeSchemaStore(), **job)


def ids(world):
    return sorted(map(number_of, world.destination.accepted))


def counts(progress):
    return progress.sent, progress.skipped, progress.dead_lettered, progress.lost


async def test_all_open_letters_are_delivered_but_one_that_fails_again():
    """Accepted ones are marked; the one that fails again has a successor that names it, the job, and the number of refusals."""
    topic = LetterTopic()
    await topic.refuse(*range(1, 11))
    await topic.refuse(*range(11, 16), partition=1)
    world = bench(topic, refusing(7))
    done = await world.run_to_end()

    assert ids(world) == [number for number in range(1, 16) if number != 7]
    assert (done.state, counts(done)) == ("done", (14, 0, 1, 0))
    assert {row.split(b":", 2)[2] for row in world.destination.accepted} == {f"replay:{JOB}".encode()}
    states = topic.states()
    (successor,) = [each for each in topic.letters() if each.forebear is not None]
    assert states["0/6"] == "failed again"
    assert states[successor.address] == "open"
    assert (successor.forebear, successor.tries, successor.headers["replay"]) == (6, 2, JOB)
    assert successor.original == ("p.events", 0, 7)
    assert (successor.headers["flow"], successor.reason) == ("live", "still odd")


async def test_a_second_redrive_delivers_what_is_left():
    """Redriven letters are not sent again; the successor is, and so are its original bytes."""
    topic = LetterTopic()
    await topic.refuse(*range(1, 6))
    await bench(topic, refusing(3)).run_to_end()
    world = bench(topic, id="20261130-081500-cd34")
    done = await world.run_to_end()

    assert (ids(world), counts(done)) == ([3], (1, 0, 0, 0))
    assert set(topic.states().values()) == {"redriven", "failed again"}


@pytest.mark.parametrize("refused", [(), (7,), (1, 2, 12)])
async def test_a_death_at_any_step_loses_nothing_and_repeats_only_what_was_in_flight(refused):
    """At every write of a mark, a letter or a record of progress: each event is accepted or open once, and the counts are exact."""
    number, alive = 0, True
    while alive:
        number += 1
        topic = LetterTopic()
        await topic.refuse(*range(1, 9))
        await topic.refuse(*range(11, 15), partition=1)
        world = bench(topic, refusing(*refused))
        alive = await world.run_killed_at(number)
        marked = sum(state == "redriven" for state in topic.states().values())
        accepted = len(world.destination.accepted)
        world.timing = replace(TIMING, watch_seconds=0.05, rejected_seconds=5.0)
        done = await world.run_to_end()

        wanted = {*range(1, 9), *range(11, 15)} - set(refused)
        assert set(ids(world)) == wanted, number
        if (
            done.state == "failed"
        ):  # the death left rejected letters alone, and no other shows whether they are at fault
            assert refused, number
            assert marked == len(wanted), number
        else:
            assert (done.state, counts(done)) == ("done", (len(wanted), 0, len(refused), 0)), number
        assert len(world.destination.accepted) <= len(wanted) + accepted - marked, number
        open_letters = [each for each in topic.letters() if topic.states().get(each.address) == "open"]
        assert sorted(each.original[2] for each in open_letters) == sorted(refused), number
    assert number > 10


async def test_letters_of_others_are_left_alone():
    """Of another destination, reason, organization or time: they are not read as the job's, and stay open."""
    topic = LetterTopic()
    await topic.refuse(1, reason="Column Actor is unknown")
    await topic.refuse(2, reason="too large")
    await topic.put(message(event(3), offset=3), "column actor", destination="splunk")
    await topic.put(message(event(4, organization="beta"), offset=4), "column actor")
    world = bench(topic, reason="COLUMN actor", organizations=("site-0.example",))
    done = await world.run_to_end()

    assert (ids(world), counts(done)) == ([1], (1, 0, 0, 0))
    assert sum(state == "open" for state in topic.states().values()) == 3
    for bounds in ({"to_ms": AT}, {"from_ms": AT + 1}):
        done = await bench(topic, **bounds).run_to_end()
        assert counts(done) == (0, 0, 0, 0)


async def test_bytes_that_are_no_event_stay_open_and_are_counted():
    """Garbage, a record of another key, and a cut event are skipped with the reason, beside an event that is delivered."""
    topic = LetterTopic()
    good, cut = message(event(1), offset=1), message(event(2), offset=2)
    cut.value = cut.value[:-4]
    foreign = message(event(3), offset=3)
    foreign.key = b"someone-else"
    for record in (
        Message(b"garbage", b"acme", AT),
        good,
        cut,
        foreign,
        Message(None, b"acme", AT, offset=9),
    ):
        await topic.put(record)
    world = bench(topic)
    done = await world.run_to_end()

    assert (ids(world), counts(done), done.skips) == ([1], (1, 4, 0, 0), (ReplaySkip(NO_EVENT, 4),))
    assert sorted(topic.states().values()) == ["open"] * 4 + ["redriven"]


async def test_two_letters_of_one_refusal_are_delivered_once():
    """A write that was repeated left the letter twice: one is redriven, and the other is closed as its duplicate."""
    topic = LetterTopic()
    await topic.refuse(1, 2, 1, 3)
    await topic.refuse(1, flow="history")
    world = bench(topic, refusing(3))
    done = await world.run_to_end()

    assert (ids(world), counts(done)) == ([1, 1, 2], (3, 0, 1, 0))
    assert [topic.states()[f"0/{offset}"] for offset in range(5)] == [
        "redriven",
        "redriven",
        "duplicate",
        "failed again",
        "redriven",
    ]


async def test_a_live_redrive_takes_what_live_refused():
    """With to_live the letters of history and of replays stay open, and the events keep their mode."""
    topic = LetterTopic()
    await topic.refuse(1)
    await topic.refuse(2, flow="history")
    await topic.refuse(3, flow="history", replay="job-0")
    world = bench(topic, to_live=True)
    done = await world.run_to_end()

    assert counts(done) == (1, 0, 0, 0)
    assert [row.split(b":", 2)[1:] for row in world.destination.accepted] == [[b"1", f"live:{JOB}".encode()]]


async def letters_around_parts():
    """Return a topic with the parts of letter 2 between the letters 1, 3, 4 and so on."""
    topic, others = LetterTopic(max_bytes=1_500), LetterTopic()
    await topic.put(message(event(2, summary="x" * 5_000), offset=2, topic="p.events"))
    parts = topic.records.pop(0)
    await others.refuse(1, *range(3, 3 + len(parts)))
    first, *rest = others.records[0]
    mixed = [first, *(record for pair in zip(parts, rest, strict=True) for record in pair)]
    topic.records[0] = [replace(record, offset=offset) for offset, record in enumerate(mixed)]
    topic.max_bytes = 10_000_000
    return topic, {1, 2, *range(3, 3 + len(parts))}


async def test_a_letter_in_parts_is_delivered_whole_whatever_dies():
    """Its parts are joined though other letters are between them, and though the place of the job is between them."""
    number, alive = 0, True
    while alive:
        number += 1
        topic, wanted = await letters_around_parts()
        world = bench(topic)
        alive = await world.run_killed_at(number)
        done = await world.run_to_end()
        assert set(ids(world)) == wanted
        assert counts(done) == (len(wanted), 0, 0, 0)
        assert set(topic.states().values()) == {"redriven"}


async def test_letters_that_kafka_has_deleted_are_lost_and_named():
    """Retention that overtakes a waiting redrive is counted, and the rest is delivered."""
    topic = LetterTopic()
    await topic.refuse(1, 2, 3)
    world = bench(topic)
    topic.starts[0] = 2
    done = await world.run_to_end()
    assert (ids(world), counts(done)) == ([3], (1, 0, 0, 2))


async def test_records_of_a_topic_that_was_created_anew_are_no_duplicates():
    """Another record has the same place there, so both are delivered, and none is closed in the place of the other."""
    topic = LetterTopic()
    for number in (1, 2):
        await topic.put(message(event(number), offset=7, topic="p.events"))
    world = bench(topic)
    done = await world.run_to_end()

    assert (ids(world), counts(done)) == ([1, 2], (2, 0, 0, 0))
    assert set(topic.states().values()) == {"redriven"}


@pytest.mark.parametrize("reasons", [("column 1", "too large"), ("too large", "column 1")])
async def test_a_duplicate_with_another_reason_is_closed_too(reasons):
    """The redrive of one reason delivers the event, so that of the other one has nothing left."""
    topic = LetterTopic()
    for reason in reasons:
        await topic.refuse(1, reason=reason)
    first = await bench(topic, reason="column").run_to_end()
    second = await bench(topic, id="20261130-081500-cd34").run_to_end()

    assert (counts(first), counts(second)) == ((1, 0, 0, 0), (0, 0, 0, 0))
    assert sorted(topic.states().values()) == ["duplicate", "redriven"]


@pytest.mark.parametrize("sizes", [(1_500, 900), (900, 10_000_000)])
async def test_a_duplicate_in_other_parts_is_closed_too(sizes):
    """How a letter is divided depends on what its process has written before, so two letters of one refusal may differ in it."""
    topic, record = LetterTopic(), message(event(1, summary="x" * 5_000), offset=7, topic="p.events")
    for topic.max_bytes in sizes:
        await topic.put(record)
    topic.max_bytes = 10_000_000
    first = await bench(topic).run_to_end()
    second = await bench(topic, id="20261130-081500-cd34").run_to_end()

    assert (counts(first), counts(second)) == ((1, 0, 0, 0), (0, 0, 0, 0))
    assert sorted(topic.states().values()) == ["duplicate", "redriven"]


async def test_a_letter_with_wrong_headers_holds_up_no_other():
    """Numbers that Kafka cannot have close no letter and are no place."""
    topic, huge = LetterTopic(), "9" * 30
    await topic.refuse(1, offset=huge, tries=huge, redrive=f"0/{huge}")
    await topic.refuse(2, part=f"1/{huge}")
    await topic.refuse(3)
    world = bench(topic)
    done = await world.run_to_end()

    assert (done.state, ids(world)) == ("done", [1, 2, 3])
