import time
from dataclasses import replace

import pytest

from relay.config.kafka import Kafka
from relay.kafka.connection import Connection
from relay.kafka.log_reader import read_table
from relay.kafka.producer import Writer, WritingError
from relay.kafka.topic_admin import create
from relay.kafka.topics import Topics
from relay.status.model import opened
from relay.status.reader import Past, read_board
from relay.status.writer import DAY_MS, Board, sweep
from relay.timestamps import now_ms

NOW = 1_790_000_000_000


@pytest.fixture
async def there(kafka, prefix):
    found = Connection(Kafka(bootstrap=kafka.bootstrap, topic_prefix=prefix, replication_factor=1, shards=1))
    await create(found)
    return found


class Pen:
    """In the place of a writer: it breaks when told to."""

    def __init__(self):
        self.written = []
        self.broken = False

    async def send(self, _topic, key, value, **_options):
        if self.broken:
            raise WritingError("Kafka is away.")
        self.written.append((key.decode(), value))


async def test_what_an_older_owner_tells_counts_for_nothing(there, prefix):
    """While the word of its successor is valid, the record of a process that was frozen meanwhile is passed over."""
    now = now_ms()
    frozen = opened("active", now - 5_000).valid_for(60_000)
    successor = opened("failing", now, frozen).valid_for(60_000)
    async with Writer(there) as writer:
        board = Board(writer, Topics(prefix).status)
        for status in (frozen, successor, replace(frozen, at=now + 1)):
            board.post("producer/acme", status)
            await board.flush()

    assert (await read_board(there, Topics(prefix).status))["producer/acme"] == successor


async def test_a_word_that_is_no_longer_valid_yields_to_any_other(there, prefix):
    """An owner whose epoch is lower, by a clock that is behind, is not passed over for ever."""
    past = opened("active", now_ms() - 600_000)
    ahead = replace(past, epoch=now_ms() + DAY_MS).valid_for(1_000)
    async with Writer(there) as writer:
        board = Board(writer, Topics(prefix).status)
        for status in (ahead, opened("failing", now_ms())):
            board.post("producer/acme", status)
            await board.flush()

    assert (await read_board(there, Topics(prefix).status))["producer/acme"].state == "failing"


async def test_only_dead_processes_are_swept(there, prefix):
    """What a process that died left of itself goes a day after it was valid; organizations and destinations stay."""
    old = opened("active", NOW).valid_for(0)
    keys = ("produce/one", "consume/two", "producer/acme", "destination/sentinel")
    async with Writer(there) as writer:
        board = Board(writer, Topics(prefix).status)
        for key in keys:
            board.post(key, old)
        await board.flush()
        await sweep(board, there, Topics(prefix).status, NOW + DAY_MS)
        await board.flush()
        assert set(await read_board(there, Topics(prefix).status)) == set(keys)
        await sweep(board, there, Topics(prefix).status, NOW + DAY_MS + 1)
        await board.flush()

    assert {key.decode() for key in await read_table(there, Topics(prefix).status)} == set(keys[2:])


async def test_what_could_not_be_written_is_written_later():
    """A failed flush loses nothing, and of each key the latest is written."""
    pen = Pen()
    board = Board(pen, "status")
    board.post("a", opened("active", NOW))
    board.withdraw("b")
    pen.broken = True
    await board.flush()
    board.post("a", opened("failing", NOW))
    pen.broken = False
    await board.flush()
    await board.flush()

    assert sorted(key for key, _ in pen.written) == ["a", "b"]
    assert board.told("a").state == "failing"


async def test_nothing_is_written_in_doubt():
    """While the membership is doubtful, statuses wait; what is forgotten meanwhile is never written."""
    pen, sure = Pen(), []
    board = Board(pen, "status", lambda: bool(sure))
    board.post("mine", opened("active", NOW))
    board.post("theirs", opened("active", NOW))
    await board.flush()
    board.forget("theirs")
    sure.append(1)
    await board.flush()

    assert [key for key, _ in pen.written] == ["mine"]
    assert board.told("theirs") is None


async def test_a_status_that_cannot_be_written_down_holds_up_no_other():
    """It is left out, with an error in the log."""
    pen = Pen()
    board = Board(pen, "status")
    board.post("bad", opened("active", NOW, reason="half of a pair: \ud800"))
    board.post("good", opened("active", NOW))
    await board.flush()
    await board.flush()

    assert [key for key, _ in pen.written] == ["good"]


async def test_a_past_that_cannot_be_read_is_asked_for_once(there):
    """Where Kafka does not tell what was told before, nobody waits for it in turn."""
    past = Past(there, "no-such-topic")
    await past.of("producer/first")
    began = time.monotonic()

    assert [await past.of(f"producer/{number}") for number in range(100)] == [None] * 100
    assert time.monotonic() - began < 0.5


def test_a_new_owner_goes_on_with_the_memory_of_the_former():
    """It has a higher epoch, whatever the clocks say, and the transitions, counts and times of before."""
    former = replace(opened("active", NOW + 60_000).counted(NOW, events=5), last_event=NOW)
    status = opened("failing", NOW, former, "The key was refused.")

    assert status.epoch == former.epoch + 1
    assert (status.counts, status.last_event) == (former.counts, NOW)
    assert (status.state, status.since, status.transitions[-1].state) == ("failing", NOW, "failing")


async def test_a_kafka_that_is_away_is_told_of_once_and_again_after_it_was_back(capsys):
    pen = Pen()
    board = Board(pen, "status")

    async def flushed(*, broken, times=1):
        pen.broken = broken
        for _ in range(times):
            board.post("producer/acme", opened("active", NOW))
            await board.flush()
        return capsys.readouterr().out.count("Status could not be written")

    assert await flushed(broken=True, times=3) == 1
    assert await flushed(broken=False) == 0
    assert await flushed(broken=True) == 1
