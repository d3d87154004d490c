"""A year of polling one organization, with faults: the pure parts of the producer together, and kills between them."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from producer.polling import window
from producer.polling.window import PollingConfig
from producer.sources.clock_skew import ClockSkew
from producer.sources.jira_cloud.pager import Pager, PagingLimits
from producer.state import checkpoint as checkpoints
from producer.state import ledger as ledgers
from producer.state import mode
from producer.state.checkpoint import new_checkpoint
from producer.state.intervals import TimeRange
from producer.state.ledger import Ledger
from relay.timestamps import DAY_MS, day_of, day_start

NOW = day_start("2026-11-23") + 9 * 3_600_000
MINUTE = 60_000
CONFIG = PollingConfig()


class Killed(Exception):
    pass


class PollingMachine(RuleBasedStateMachine):
    """One organization, its Jira, and a producer that a kill may end at any transaction. Memory is lost at each kill."""

    def __init__(self):
        super().__init__()
        self.now = NOW
        self.jira = []  # (id, created, visible)
        self.log = []
        self.progress = {}
        self.checkpoint = None
        self.ledger = Ledger("acme")
        self.config = CONFIG
        self.backfill_from = None
        self.kills = []
        self.clock_error = 0

    @rule(ago=st.integers(0, 40 * DAY_MS), hidden=st.integers(0, 3 * DAY_MS))
    def happened(self, ago, hidden):
        """Create a record at any earlier time; it becomes visible up to three days after its creation."""
        created = self.now - min(ago, hidden) if self.checkpoint else self.now - ago
        self.jira.append((len(self.jira), created, created + hidden))

    @rule(count=st.integers(2, 30), hidden=st.integers(0, 3 * DAY_MS))
    def burst(self, count, hidden):
        """Create many records in the same millisecond."""
        self.jira += [(len(self.jira) + n, self.now - 1, self.now - 1 + hidden) for n in range(count)]

    @rule(rounds=st.integers(1, 40), every=st.sampled_from([MINUTE, 3_600_000, 6 * 3_600_000]))
    def time_of_service(self, rounds, every):
        """Poll regularly while new records are created."""
        for number in range(rounds):
            self.now += every
            self.jira.append(
                (len(self.jira), self.now, self.now + number * 7 % 25 * 10_000_000 % (3 * DAY_MS))
            )
            for work in (self.live, self.reread, self.backfill):
                self.survive(work)

    @rule(time=st.sampled_from([1, 30_000, 20 * MINUTE, DAY_MS, 12 * DAY_MS]))
    def time_passes(self, time):
        self.now += time

    @rule(days=st.sampled_from([3, 7, 30]))
    def operator_changes_late_days(self, days):
        self.config = PollingConfig(allowed_lateness_ms=days * DAY_MS)

    @rule(days=st.sampled_from([None, 1, 10, 40]))
    def operator_changes_backfill(self, days):
        self.backfill_from = None if days is None else NOW - days * DAY_MS + 12_345

    @rule(after=st.integers(0, 5), committed=st.booleans())
    def a_kill_is_coming(self, after, committed):
        self.kills.append((after, committed))

    @rule(error=st.sampled_from([0, 2 * 3_600_000, -40 * DAY_MS, 40 * DAY_MS]))
    def our_clock_goes_wrong(self, error):
        self.clock_error = error

    @rule()
    def live_round(self):
        self.survive(self.live)

    @rule()
    def reread_round(self):
        self.survive(self.reread)

    @rule()
    def backfill_round(self):
        self.survive(self.backfill)

    @invariant()
    def nothing_twice(self):
        assert len(self.log) == len(set(self.log))

    def teardown(self):
        """Make all records visible, read them, and expect each promised record once."""
        self.kills.clear()
        self.clock_error = 0
        for _ in range(3):
            self.now += 4 * DAY_MS
            self.live()
            self.reread()
        while window.backfill(self.checkpoint, self.backfill_from):
            self.backfill()
        first = self.checkpoint.live_since
        oldest = first if self.backfill_from is None else min(first, self.backfill_from)
        expected = {
            number
            for number, created, visible in self.jira
            if created >= first or (created >= oldest and visible <= first)
        }
        assert expected <= set(self.log)
        assert len(self.log) == len(set(self.log))
        self.few_ledgers_are_left()

    def few_ledgers_are_left(self):
        """Memory and Kafka hold no ledger of a day that no window reaches."""
        days = {ledgers.split_progress_key(name)[1] for name in self.progress} - {None}
        assert days == set(self.ledger.days)
        reach = self.now - self.config.allowed_lateness_ms - 6 * DAY_MS
        history = range(NOW - 41 * DAY_MS, NOW + DAY_MS)
        first = day_of(self.checkpoint.live_since)  # backfill covers a part of this day only
        assert all(day_start(day) >= reach or day_start(day) in history or day == first for day in days)

    def survive(self, work):
        try:
            work()
        except Killed:
            record = self.progress.get("acme")
            self.checkpoint = record and checkpoints.from_record(record)
            days = {
                ledgers.split_progress_key(name)[1]: record
                for name, record in self.progress.items()
                if name != "acme"
            }
            self.ledger = Ledger(
                "acme", {name: ledgers.day_ledger_from_record(one) for name, one in days.items()}
            )

    def until(self):
        wrong = self.now + self.clock_error
        clock = ClockSkew().observe(wrong, wrong, self.now // 1000 * 1000)
        return clock.correct(wrong) - self.config.settle_ms

    def live(self):
        if self.checkpoint is None:
            self.transaction([], new_checkpoint("acme", self.until(), now=self.now), None)
        self.checkpoint = window.rewind(self.checkpoint, self.until())
        self.read(window.live(self.checkpoint, self.until(), self.config.overlap_ms, self.backfill_from))

    def reread(self):
        if self.checkpoint and (
            todo := window.reread(self.checkpoint, self.until(), self.config, self.backfill_from)
        ):
            self.read(todo)

    def backfill(self):
        if self.checkpoint and (todo := window.backfill(self.checkpoint, self.backfill_from)):
            (result,) = list(self.read_windows(todo))
            self.publish(result, lambda point: window.mark_backfilled(point, todo))

    def read(self, whole):
        for result in self.read_windows(whole):
            read = TimeRange(whole.start, result.covered.end)
            self.publish(
                result, lambda point, read=read: window.advance(point, read, self.config, self.backfill_from)
            )

    def read_windows(self, whole):
        pager = Pager([whole], PagingLimits(page_records=20))
        while (request := pager.next_request) is not None:
            rows = [
                {"id": number, "created": created}
                for number, created, visible in sorted(self.jira, reverse=True)
                if visible <= self.now and request.from_ms <= created <= request.until_ms
            ]
            result = pager.add(
                rows[request.offset : request.offset + request.limit], 1, self.now // 1000 * 1000
            )
            if result:
                yield result

    def publish(self, result, moved):
        wanted = [
            event
            for event in result.events
            if mode.mode_of(event["created"], self.checkpoint, self.config.overlap_ms, self.backfill_from)
        ]
        new = [event for event in wanted if not self.ledger.contains(event["id"])]
        for first in range(0, len(new), 3):
            if first + 3 < len(new):
                self.transaction(new[first : first + 3], None, result)
        self.transaction(new[-(len(new) % 3 or 3) :] if new else [], moved(self.checkpoint), result)

    def transaction(self, events, checkpoint, result):
        delta = self.ledger.plan(events, read=result and result.window)
        if checkpoint:
            delta = self.ledger.expire_days(delta, checkpoint)
        killed = self.kill()
        if killed is not False:
            self.log += [event["id"] for event in events]
            for key, record in self.ledger.to_records(delta).items():
                self.progress.pop(key, None)
                if record is not None:
                    self.progress[key] = record
            if checkpoint:
                self.progress["acme"] = checkpoint.to_record()
        if killed is not None:
            raise Killed
        self.ledger.commit(delta)
        self.checkpoint = checkpoint or self.checkpoint

    def kill(self):
        """Continue on None, die after the commit on True, before it on False."""
        if not self.kills:
            return None
        after, committed = self.kills.pop()
        if after:
            self.kills.append((after - 1, committed))
            return None
        return committed


PollingMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=20)

TestPolling = PollingMachine.TestCase
