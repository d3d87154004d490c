from dataclasses import replace

import fastavro
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from pyroaring import BitMap64

import schemas
from producer.events import UnreadableRecord
from producer.state.checkpoint import new_checkpoint
from producer.state.intervals import TimeRange
from producer.state.ledger import (
    DayLedger,
    Ledger,
    day_ledger_from_record,
    is_day_kept,
    progress_key,
    record_hash,
    split_progress_key,
)
from relay.timestamps import DAY_MS, day_start

MONDAY = day_start("2026-11-23")
BAD = UnreadableRecord("no id", b'{"summary":"x"}')


def event(number, created=MONDAY):
    return {"id": number, "created": created}


def test_a_plan_changes_nothing_before_its_commit():
    """The ledger equals Kafka's between plan and commit."""
    ledger = Ledger("acme", {"2026-11-23": DayLedger(BitMap64([1]))})
    delta = ledger.plan(
        [event(2), event(3, MONDAY + DAY_MS)], [BAD], read=TimeRange(MONDAY, MONDAY + 2 * DAY_MS)
    )
    assert {name: set(day.ids) for name, day in delta.days.items()} == {
        "2026-11-23": {1, 2},
        "2026-11-24": {3},
    }
    assert not ledger.contains(2)
    assert ledger.new_dead_letters([BAD]) == [BAD]
    ledger.commit(delta)
    assert [ledger.contains(number) for number in (1, 2, 3, 4)] == [True, True, True, False]
    assert ledger.new_dead_letters([BAD, BAD]) == []


def test_a_plan_from_before_another_commit_is_refused():
    """Two plans from the same state would overwrite each other's days."""
    ledger = Ledger("acme")
    one, other = ledger.plan([event(1)]), ledger.plan([event(2)])
    ledger.commit(one)
    with pytest.raises(ValueError, match="changed"):
        ledger.commit(other)


def test_a_dead_letter_is_in_the_ledger_of_its_windows_last_day():
    """It has no readable day, and stays known while its window may be read again."""
    ledger = Ledger("acme")
    delta = ledger.plan([], [BAD], read=TimeRange(MONDAY - DAY_MS, MONDAY))
    assert delta.days == {"2026-11-22": DayLedger(BitMap64(), frozenset({record_hash(BAD)}))}
    with pytest.raises(ValueError, match="window"):
        ledger.plan([], [BAD])


def test_ledgers_of_unreachable_days_are_deleted():
    """Below the deepest re-read, only uncovered backfill keeps its ledgers."""
    point = replace(new_checkpoint("acme", MONDAY + DAY_MS // 2, now=0), ledgers_from=MONDAY + 9 * DAY_MS)
    kept = [
        name
        for name in ("2026-11-20", "2026-11-23", "2026-11-24", "2026-12-01", "2026-12-02")
        if is_day_kept(name, point)
    ]
    assert kept == ["2026-11-20", "2026-11-23", "2026-12-02"]


def test_a_day_of_an_unread_range_keeps_its_ledger():
    """When the source serves the range at last, the records of its days that are published must still be known."""
    unread = TimeRange(MONDAY + DAY_MS // 2, MONDAY + DAY_MS + 1)
    point = replace(
        new_checkpoint("acme", MONDAY, now=0),
        ledgers_from=MONDAY + 9 * DAY_MS,
        backfilled=(TimeRange(0, MONDAY + 30 * DAY_MS),),
        unread_ranges=(unread,),
    )
    days = ("2026-11-22", "2026-11-23", "2026-11-24", "2026-11-25")
    assert [name for name in days if is_day_kept(name, point)] == ["2026-11-23", "2026-11-24"]


def test_ledger_records_round_trip():
    """A ledger record decodes to the same day, and a deleted day is a tombstone."""
    ledger = Ledger("acme", {"2020-01-01": DayLedger(BitMap64([5]))})
    delta = ledger.plan([event(1), event(2**63 - 1)], [BAD], read=TimeRange(MONDAY, MONDAY + DAY_MS))
    covered = replace(
        new_checkpoint("acme", MONDAY, now=0), ledgers_from=MONDAY, backfilled=(TimeRange(0, MONDAY),)
    )
    records = ledger.to_records(ledger.expire_days(delta, covered))
    assert records["acme 2020-01-01"] is None
    record = records["acme 2026-11-23"]
    assert fastavro.validate(record, schemas.load("day_ledger"), strict=True)
    assert (record["organization"], record["day"]) == ("acme", "2026-11-23")
    assert day_ledger_from_record(record) == delta.days["2026-11-23"]


@pytest.mark.parametrize("name", ["acme.atlassian.net", "127.0.0.1:8080", "a b", "2026-11-23", "ä\n"])
def test_progress_keys_round_trip(name):
    """The key of a ledger differs from that of a checkpoint."""
    assert split_progress_key(progress_key(name)) == (name, None)
    assert split_progress_key(progress_key(name, "2026-11-23")) == (name, "2026-11-23")


class LedgerMachine(RuleBasedStateMachine):
    """Compare a ledger with Kafka while a crash may come at any point between plan and commit."""

    def __init__(self):
        super().__init__()
        self.ledger = Ledger("acme")
        self.kafka = {}
        self.published = []
        self.offered = set()

    @rule(
        ids=st.lists(st.integers(0, 60), max_size=8),
        days=st.integers(0, 4),
        after=st.sampled_from(["nothing", "commit", "lost", "lost after commit"]),
    )
    def publish(self, ids, days, after):
        unknown = sorted({number for number in ids if not self.ledger.contains(number)})
        new = [event(number, MONDAY + (number + days) % 5 * DAY_MS) for number in unknown]
        delta = self.ledger.plan(new)
        if after == "nothing":
            return
        if after != "lost":
            self.published += [one["id"] for one in new]
            self.kafka |= self.ledger.to_records(delta)
            self.offered |= set(ids)
        if after == "commit":
            self.ledger.commit(delta)
        else:
            days_read = {
                split_progress_key(name)[1]: day_ledger_from_record(record)
                for name, record in self.kafka.items()
            }
            self.ledger = Ledger("acme", days_read)

    @invariant()
    def every_id_once(self):
        assert sorted(self.published) == sorted(self.offered)
        assert all(self.ledger.contains(number) == (number in self.offered) for number in range(61))


LedgerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25)
TestLedger = LedgerMachine.TestCase
