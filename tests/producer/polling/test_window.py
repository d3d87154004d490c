"""What a window asks for: rules one by one, then a year of an organization with faults."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from producer.polling import window
from producer.polling.window import PollingConfig
from producer.sources.clock_skew import ClockSkew
from producer.sources.jira_cloud.pager import Pager, PagingLimits
from producer.sources.jira_cloud.source import contradicts
from producer.state import checkpoint as checkpoints
from producer.state import ledger as ledgers
from producer.state import mode
from producer.state.checkpoint import CompletenessPair, EventPosition, new_checkpoint
from producer.state.intervals import TimeRange, missing_ranges
from producer.state.ledger import Ledger
from relay.timestamps import DAY_MS, day_of, day_start

NOW = day_start("2026-11-23") + 9 * 3_600_000
MINUTE = 60_000
CONFIG = PollingConfig()
START = new_checkpoint("acme", NOW, now=NOW)


def advance_checkpoint(point, **changes):
    return replace(point, **changes)


def test_a_live_window_overlaps_the_last_one():
    """A live window begins one overlap before the checkpoint and ends one settle before now."""
    point = advance_checkpoint(START, window_end=NOW + 60 * MINUTE)
    assert window.live(point, NOW + 61 * MINUTE, CONFIG.overlap, None) == TimeRange(
        NOW + 45 * MINUTE, NOW + 61 * MINUTE
    )


def test_no_window_begins_before_the_first_wanted_instant():
    """The first contact is the lower bound without backfill, the start of backfill with it."""
    for backfill_from, lowest in ((None, NOW), (NOW - 5 * MINUTE, NOW - 5 * MINUTE), (NOW + 1, NOW)):
        assert window.live(START, NOW + MINUTE, CONFIG.overlap, backfill_from).start == lowest
        assert window.reread(START, NOW + DAY_MS, CONFIG, backfill_from).start == lowest


@pytest.mark.parametrize(
    ("after", "start"),
    [
        (59 * MINUTE, None),
        (60 * MINUTE, -DAY_MS),
        (DAY_MS - 1, -DAY_MS),
        (DAY_MS, -7 * DAY_MS),
        (10 * DAY_MS, -7 * DAY_MS),
    ],
)
def test_re_reads_are_due_by_their_marks(after, start):
    """A re-read of the day is due hourly, of the week daily, and begins at its mark."""
    expected = None if start is None else TimeRange(NOW + start, NOW + after)
    assert window.reread(START, NOW + after, CONFIG, NOW - 30 * DAY_MS) == expected


def test_a_read_moves_every_cursor_that_it_covers():
    """A deep re-read moves shallower marks; a live round moves none; a read with a hole moves none."""
    point = advance_checkpoint(START, window_end=NOW + DAY_MS, day_mark=NOW + DAY_MS, week_mark=NOW)
    end = NOW + DAY_MS + MINUTE
    far = NOW - 30 * DAY_MS

    def cursors(start):
        moved = window.advance(point, TimeRange(start, end), CONFIG, far)
        return [cursor == end for cursor in (moved.window_end, moved.day_mark, moved.week_mark)]

    assert cursors(NOW + DAY_MS + 1) == [False, False, False]
    assert cursors(NOW + DAY_MS) == [True, False, False]
    assert cursors(NOW) == [True, True, False]
    assert cursors(NOW - 7 * DAY_MS) == [True, True, True]


def test_a_re_read_in_several_results_moves_its_mark_with_each():
    """An interrupted re-read continues after its last result beyond the mark."""
    point = START
    week = window.reread(point, NOW + 10 * DAY_MS, CONFIG, 0)
    for days in range(1, 11):
        point = window.advance(point, TimeRange(week.start, week.start + days * DAY_MS), CONFIG, 0)
    assert point.week_mark == point.day_mark == point.window_end == NOW + 3 * DAY_MS
    assert window.reread(point, NOW + 10 * DAY_MS, CONFIG, 0).start == NOW - 4 * DAY_MS


def test_an_empty_coverage_moves_no_cursor_back():
    """The cursors stay when Jira's clock has not reached the window."""
    assert window.advance(START, TimeRange(NOW - MINUTE, NOW - MINUTE), CONFIG, None) == advance_checkpoint(
        START, ledgers_from=window.advance(START, TimeRange(NOW, NOW), CONFIG, None).ledgers_from
    )


def test_a_cursor_from_the_future_is_set_back():
    """A rewind sets cursors to now, not below the ledgers, and drops pairs from the future."""
    pairs = (CompletenessPair(NOW - 1, 3), CompletenessPair(NOW + DAY_MS, 4))
    point = advance_checkpoint(
        START, window_end=NOW + DAY_MS, day_mark=NOW + 2 * DAY_MS, ledgers_from=NOW - 8 * DAY_MS, pairs=pairs
    )
    back = window.rewind(point, NOW)
    assert (back.window_end, back.day_mark, back.week_mark) == (NOW, NOW, NOW)
    assert back.pairs == pairs[:1]
    assert window.rewind(point, NOW - 300 * DAY_MS).window_end == NOW - 8 * DAY_MS
    assert window.rewind(START, NOW + 5) == START


def test_the_overlap_fits_one_page():
    """The overlap of a busy organization is shorter, but at least one minute."""
    assert window.next_overlap(range(NOW - 100, NOW), NOW, CONFIG, 1_000) == CONFIG.overlap
    every_second = range(NOW - 1_200_000, NOW + 5_000, 1_000)
    assert window.next_overlap(every_second, NOW, CONFIG, 1_000) == 900_000
    assert window.next_overlap(range(NOW - 1_200_000, NOW, 100), NOW, CONFIG, 1_000) == 90_000
    assert window.next_overlap(range(NOW - 5_000, NOW), NOW, CONFIG, 1_000) == 60_000
    assert window.next_overlap(range(NOW - 5_000, NOW), NOW, PollingConfig(overlap=30_000), 1_000) == 30_000


def test_the_mode_of_an_event_follows_from_its_time():
    """A record from before the first contact is backfill; one behind the checkpoint is late."""
    point = advance_checkpoint(START, window_end=NOW + 60 * MINUTE)
    modes = [
        mode.mode_of(created, point, 15 * MINUTE, backfill_from)
        for backfill_from in (None, NOW - DAY_MS)
        for created in (
            NOW - DAY_MS - 1,
            NOW - DAY_MS,
            NOW - 1,
            NOW,
            NOW + 45 * MINUTE - 1,
            NOW + 45 * MINUTE,
        )
    ]
    assert modes == [
        None,
        None,
        None,
        "late",
        "late",
        "live",
        None,
        "backfill",
        "backfill",
        "late",
        "late",
        "live",
    ]


def test_a_record_of_a_day_without_a_ledger_is_not_published():
    """A slow pager may hold records of days whose ledgers another read has deleted."""
    gone = day_start("2026-11-20")
    point = advance_checkpoint(START, live_since=gone - 2 * DAY_MS, window_end=NOW, ledgers_from=gone)
    covered = advance_checkpoint(
        point,
        backfilled=(
            TimeRange(gone - 9 * DAY_MS, gone - 4 * DAY_MS),
            TimeRange(gone - 3 * DAY_MS, gone - 2 * DAY_MS),
        ),
    )

    def modes(checkpoint):
        instants = (
            gone - 5 * DAY_MS,
            gone - 4 * DAY_MS,
            gone - 2 * DAY_MS - 1,
            gone - 2 * DAY_MS,
            gone - 1,
            gone,
        )
        return [mode.mode_of(created, checkpoint, MINUTE, gone - 10 * DAY_MS) for created in instants]

    assert modes(point) == ["backfill", "backfill", "backfill", None, None, "late"]
    assert modes(covered) == [None, "backfill", None, None, None, "late"]


def test_backfill_reads_missing_days_newest_first():
    """A backfill window is at most one UTC day and leaves out covered ranges."""
    point, asked = START, []
    while (todo := window.backfill(point, NOW - 2 * DAY_MS)) is not None:
        asked.append(todo)
        point = window.mark_backfilled(point, todo)
    midnight = day_start("2026-11-23")
    assert asked == [
        TimeRange(midnight, NOW),
        TimeRange(midnight - DAY_MS, midnight),
        TimeRange(NOW - 2 * DAY_MS, midnight - DAY_MS),
    ]
    assert window.backfill(START, NOW - 9 * DAY_MS, 4) == TimeRange(midnight - 3 * DAY_MS, NOW)
    assert window.backfill(START, NOW - 2 * DAY_MS, 4) == TimeRange(NOW - 2 * DAY_MS, NOW)
    assert window.backfill(point, NOW - 3 * DAY_MS) == TimeRange(midnight - 2 * DAY_MS, NOW - 2 * DAY_MS)
    assert window.backfill(point, None) is None
    assert window.backfill(point, NOW + DAY_MS) is None


@given(st.lists(st.tuples(st.integers(-5000, 0), st.integers(-5000, 0)), max_size=5), st.integers(-5000, 0))
def test_backfill_covers_its_range_exactly(covered, start):
    """The windows are disjoint and leave no hole, whatever was covered before."""
    point = advance_checkpoint(START, live_since=0)
    for one, other in covered:
        point = window.mark_backfilled(point, TimeRange(one * 60 * MINUTE, other * 60 * MINUTE))
    left = missing_ranges(point.backfilled, TimeRange(start * 60 * MINUTE, 0))
    while (todo := window.backfill(point, start * 60 * MINUTE)) is not None:
        assert 0 < todo.width <= DAY_MS
        assert missing_ranges(point.backfilled, todo) == (todo,)
        point = window.mark_backfilled(point, todo)
    assert not missing_ranges(point.backfilled, TimeRange(start * 60 * MINUTE, 0))
    assert all(not missing_ranges(point.backfilled, one) for one in left)


def test_an_empty_answer_needs_a_probe():
    """Probes come at most every five minutes; one that shows a record of the window refutes the empty answer."""
    assert [window.proof_due(probed, NOW, CONFIG) for probed in (None, NOW - 299_999, NOW - 300_000)] == [
        True,
        False,
        True,
    ]
    assert contradicts(TimeRange(NOW, NOW + 5), NOW + 4)
    assert not contradicts(TimeRange(NOW, NOW + 5), NOW + 5)
    assert not contradicts(TimeRange(NOW, NOW + 5), NOW - 1)


def test_a_clock_that_goes_back_makes_a_probe_due():
    """Otherwise a quiet organization would wait for as long as the clock was ahead."""
    assert window.proof_due(NOW + 1, NOW, CONFIG)
    assert not window.proof_due(NOW, NOW, CONFIG)


def test_a_gap_is_reported_after_an_outage():
    """A gap reaches from the checkpoint to the oldest record that Jira keeps."""
    point = advance_checkpoint(START, last_event=EventPosition(5, 5))
    assert window.find_gap(point, NOW + 3 * DAY_MS, NOW + 90 * DAY_MS) == TimeRange(NOW, NOW + 3 * DAY_MS)
    assert window.find_gap(point, NOW - 1, NOW + 90 * DAY_MS) is None
    assert window.find_gap(point, NOW + 1, NOW + MINUTE) is None
    assert window.find_gap(START, NOW + 3 * DAY_MS, NOW + 90 * DAY_MS) is None


@pytest.mark.parametrize(
    ("error", "travel", "ahead"),
    [
        (0, 0, 0),
        (0, 5_000, 0),
        (999, 0, 0),
        (40_000, 0, 39_000),
        (40_000, 4_000, 39_000),
        (-40_000, 0, -40_000),
    ],
)
def test_the_clock_is_only_corrected_downwards(error, travel, ahead):
    """A slow answer of Jira does not count as clock skew."""
    clock = ClockSkew().observe(NOW + error, NOW + error + travel, NOW)
    assert clock.ahead == ahead
    assert clock.skewed == (abs(ahead) > 30_000)
    assert clock.correct(NOW) == NOW - max(0, ahead)
    assert clock.observe(NOW, NOW, None) == clock


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
        self.deepest_asked = None
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
        self.config = PollingConfig(allowed_lateness=days * DAY_MS)

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
        reach = self.now - self.config.allowed_lateness - 6 * DAY_MS
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
        return clock.correct(wrong) - self.config.settle

    def live(self):
        if self.checkpoint is None:
            self.transaction([], new_checkpoint("acme", self.until(), now=self.now), None)
        self.checkpoint = window.rewind(self.checkpoint, self.until())
        self.read(window.live(self.checkpoint, self.until(), self.config.overlap, self.backfill_from))

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
            if mode.mode_of(event["created"], self.checkpoint, self.config.overlap, self.backfill_from)
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
