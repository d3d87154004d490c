"""Restored sites: new records get the ids of published ones, and some of them become visible late."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from producer.sources.jira_cloud.mapping import restore_json
from relay.timestamps import DAY_MS, day_of
from tests.support.committed_state import HOUR, MONDAY, SECOND, CommittedState, contents, record, uids


def restored_site(max_events=1_000):
    """Return the state after five records, a restore to before the first one, and one new record with the id 3."""
    state = CommittedState(max_events)
    state.publish(*(record(number, MONDAY + number * SECOND, f"old {number}") for number in range(1, 6)))
    state.publish(record(3, MONDAY + HOUR + 3 * SECOND, "new 3"))
    return state


def test_a_late_record_of_a_restored_site_is_published():
    """A newer record was published before it, and no window shows the record that had its id."""
    state = restored_site()
    late = record(2, MONDAY + HOUR + 2 * SECOND, "new 2")

    assert contents(state.publish(late)) == ["new 2"]
    assert state.publish(late) == state.publish(late, record(3, MONDAY + HOUR + 3 * SECOND, "new 3")) == []
    assert len(set(uids(state.events))) == len(state.events)
    assert state.checkpoint.id_reuse.count == 2


def test_a_record_with_another_name_in_it_is_not_repeated():
    """Jira shows the present name of a user in records that were published under the former one."""
    state = restored_site()
    late = record(2, MONDAY + HOUR + 2 * SECOND, "new 2")
    state.publish(late)

    for number, created, content in (
        (2, MONDAY + HOUR + 2 * SECOND, "new 2"),
        (3, MONDAY + HOUR + 3 * SECOND, "new 3"),
        (2, MONDAY + 2 * SECOND, "old 2"),
    ):
        assert state.publish(record(number, created, content, category="renamed")) == []


@pytest.mark.parametrize("apart", [HOUR, DAY_MS])
def test_one_window_with_both_renamed_records_of_an_id_has_no_dead_letter(apart):
    """Their variants are not those in the ledger, but a time key, or the ledger of its own day, proves the newer one."""
    state = CommittedState()
    state.publish(*(record(number, MONDAY + number * SECOND, f"old {number}") for number in range(1, 6)))
    state.publish(record(3, MONDAY + apart + 3 * SECOND, "new 3"))
    both = [(MONDAY + 3 * SECOND, "old 3"), (MONDAY + apart + 3 * SECOND, "new 3")]

    for name in ("", "renamed"):
        assert state.publish(*(record(3, created, content, category=name) for created, content in both)) == []
    assert state.dead_letters == []


def test_two_records_of_one_id_and_time_are_no_silent_loss():
    """Both have one time key, so it proves neither: the second was published in no transaction."""
    state = restored_site(max_events=1)
    window = [record(9, MONDAY + 2 * HOUR, content) for content in ("first", "second")]
    state.publish(*window)

    assert contents(state.events).count("first") == 1
    assert [one.raw for one in state.dead_letters] == [restore_json(one) for one in window[1:]]


def test_a_reuse_that_a_late_record_shows_bounds_its_day():
    """Its own day lacks the id, and the newest event is newer. From there on a late record is known by its time alone."""
    state = CommittedState()
    tuesday = MONDAY + DAY_MS
    state.publish(*(record(number, MONDAY + number * SECOND, f"monday {number}") for number in range(1, 6)))
    state.publish(
        *(record(number, tuesday + number * SECOND, f"tuesday {number}") for number in range(6, 10))
    )
    state.publish(record(12, tuesday + HOUR + 600 * SECOND, "new 12"))
    assert contents(state.publish(record(3, tuesday + HOUR, "copied 3"))) == ["copied 3"]

    state.publish(record(13, tuesday + 2 * HOUR, "new 13"))
    late = record(7, tuesday + 2 * HOUR - 5 * SECOND, "copied 7")
    assert contents(state.publish(late)) == ["copied 7"]
    assert state.publish(late, record(13, tuesday + 2 * HOUR, "new 13")) == state.dead_letters == []


def test_a_reuse_that_a_record_of_another_day_shows_bounds_the_newest_day():
    """A copied record of Monday has an id of Tuesday, and a later one of Tuesday has another id of Tuesday."""
    state = CommittedState()
    tuesday = MONDAY + DAY_MS
    state.publish(
        *(record(number, tuesday + number * SECOND, f"tuesday {number}") for number in range(6, 10))
    )
    assert contents(state.publish(record(8, MONDAY + HOUR, "copied 8"))) == ["copied 8"]

    state.publish(record(13, tuesday + 2 * HOUR, "new 13"))
    late = record(7, tuesday + HOUR, "copied 7")
    assert contents(state.publish(late)) == ["copied 7"]
    assert state.publish(late) == state.dead_letters == []


def test_a_late_record_is_found_after_each_kill():
    """The relay dies between the transactions of the window by which it noticed the restore."""
    for kills in range(1, 4):
        state = CommittedState(max_events=1)
        state.publish(*(record(number, MONDAY + number * SECOND, f"old {number}") for number in range(1, 6)))
        window = [record(number, MONDAY + HOUR + number * SECOND, f"new {number}") for number in (2, 4, 5)]
        state.publish(*window, kill_after=kills)
        state.publish(*window)
        late = record(3, MONDAY + HOUR + 3 * SECOND, "new 3")
        assert contents(state.publish(late)) == ["new 3"]
        assert state.publish(*window, late) == []


def test_ordinary_records_before_the_first_reused_id_are_not_repeated():
    """One transaction has a record with a new id, then one with a reused id."""
    state = CommittedState()
    state.publish(*(record(number, MONDAY + number * SECOND, f"old {number}") for number in range(1, 6)))
    window = [record(9, MONDAY + HOUR, "new 9"), record(3, MONDAY + HOUR + 3 * SECOND, "new 3")]
    state.publish(*window)

    for one in window:
        assert state.publish(one) == []
    assert contents(state.publish(record(2, MONDAY + HOUR + SECOND, "new 2"))) == ["new 2"]


def test_late_records_of_a_second_restore_on_the_same_day_are_published():
    state = restored_site()
    state.publish(record(4, MONDAY + HOUR + 4 * SECOND, "new 4"))
    state.publish(record(4, MONDAY + 2 * HOUR + 4 * SECOND, "newer 4"))
    late = record(3, MONDAY + 2 * HOUR + 3 * SECOND, "newer 3")

    assert contents(state.publish(late)) == ["newer 3"]
    assert state.publish(late) == []


def test_late_records_after_midnight_are_published():
    """The day after a restore has its own ledger, and a second restore reuses ids of that day."""
    state = restored_site()
    tuesday = MONDAY + DAY_MS
    for number in (3, 4):
        state.publish(record(number, tuesday + number * SECOND, f"tuesday {number}"))
    assert contents(state.publish(record(2, tuesday + 2 * SECOND, "tuesday 2"))) == ["tuesday 2"]

    state.publish(record(9, tuesday + HOUR + 9 * SECOND, "restored 9"))
    late = record(4, tuesday + HOUR + 4 * SECOND, "restored 4")
    assert contents(state.publish(late)) == ["restored 4"]
    assert state.publish(late) == []


def test_a_record_of_yesterday_that_is_visible_after_midnight_is_published():
    """Its id is in yesterday's ledger twice over: of the record before the restore, and in today's."""
    state = restored_site()
    tuesday = MONDAY + DAY_MS
    state.publish(record(2, tuesday + 2 * SECOND, "tuesday 2"))
    late = record(2, MONDAY + HOUR + 2 * SECOND, "new 2")

    assert contents(state.publish(late)) == ["new 2"]
    assert state.publish(late, record(2, tuesday + 2 * SECOND, "tuesday 2")) == []


@pytest.mark.parametrize("max_events", [1, 1_000])
def test_a_restore_before_midnight_that_shows_after_it_loses_no_late_record(max_events):
    """The first record of the restored site that is visible is of Tuesday; a late one of Monday has an id of Monday."""
    state = CommittedState(max_events)
    state.publish(*(record(number, MONDAY + number * SECOND, f"old {number}") for number in range(1, 6)))
    tuesday = MONDAY + DAY_MS
    state.publish(record(3, tuesday + 3 * SECOND, "new 3"), record(4, tuesday + 4 * SECOND, "new 4"))
    late = record(2, MONDAY + HOUR, "new 2")

    assert contents(state.publish(late)) == ["new 2"]
    assert state.publish(late) == []
    assert contents(state.publish(record(9, MONDAY + HOUR + 1, "new 9"))) == ["new 9"]
    assert state.publish(record(9, MONDAY + HOUR + 1, "new 9")) == []
    assert (
        state.publish(*(record(number, MONDAY + number * SECOND, f"old {number}") for number in range(1, 6)))
        == []
    )


def test_an_older_release_in_between_repeats_nothing():
    """It writes the ledger of the day without the bound and without time keys for its own events."""
    state = restored_site()
    monday = day_of(MONDAY)
    known = state.days[monday]
    other = CommittedState()
    other.checkpoint, other.days = state.checkpoint, {monday: type(known)(known.ids, known.dead_letters)}
    last = record(9, MONDAY + 2 * HOUR, "of the older release")
    state.publish(last)
    other.publish(last)
    other.days[monday] = type(known)(other.days[monday].ids, other.days[monday].dead_letters)

    assert other.publish(last, record(3, MONDAY + HOUR + 3 * SECOND, "new 3")) == []
    assert other.publish(last) == []


class RestoredSite(RuleBasedStateMachine):
    """A site that is restored to an earlier state at any time, and a relay that dies at any transaction."""

    def __init__(self):
        super().__init__()
        self.kafka = CommittedState(max_events=2)
        self.now = MONDAY
        self.site = []
        self.ever = []
        self.next_id = 1
        self.hidden = []
        """Records that are not visible yet."""

    @rule(count=st.integers(1, 4), apart=st.sampled_from([0, 1, HOUR, DAY_MS // 2]))
    def happen(self, count, apart):
        self.now += 1
        for _ in range(count):
            self.site.append(record(self.next_id, self.now, f"record {len(self.ever)}"))
            self.ever.append(self.site[-1])
            self.next_id += 1
            self.now += apart

    @precondition(lambda self: self.reuse_is_known())
    @rule(late=st.integers(1, 3))
    def happen_unseen(self, late):
        """Records become visible only after a newer one was published, on a day on which ids were reused."""
        for _ in range(late):
            self.now += 1
            self.hidden.append(record(self.next_id, self.now, f"record {len(self.ever)}"))
            self.ever.append(self.hidden[-1])
            self.next_id += 1
        self.happen(1, 0)
        self.poll(None, 0)

    def reuse_is_known(self):
        """Whether the relay has published a record of this day whose id another one has."""
        today = day_of(self.now + 3)
        return any(one["variant"] and day_of(one["created"]) == today for one in self.kafka.events)

    @rule()
    def become_visible(self):
        self.site = sorted([*self.site, *self.hidden], key=lambda one: one["created"])
        self.hidden = []

    @rule(lost=st.integers(1, 5))
    def restore(self, lost):
        """The last records are gone, and their ids are reused. The relay has read them before."""
        self.become_visible()
        self.poll(None, 0)
        del self.site[-lost:]
        self.next_id = max((one["id"] for one in self.site), default=0) + 1

    @rule(kill_after=st.none() | st.integers(1, 3), depth=st.integers(0, 9))
    def poll(self, kill_after, depth):
        """Read all new records, and `depth` older ones again."""
        new = [one for one in self.site if one["summary"] not in contents(self.kafka.events)]
        old = [one for one in self.site if one not in new][-depth:] if depth else []
        self.kafka.publish(*old, *new, kill_after=kill_after)

    @invariant()
    def each_record_is_published_once(self):
        assert len(set(contents(self.kafka.events))) == len(self.kafka.events)
        assert len(set(uids(self.kafka.events))) == len(self.kafka.events)
        assert not self.kafka.dead_letters

    def teardown(self):
        self.become_visible()
        self.poll(None, 9)
        assert sorted(contents(self.kafka.events)) == sorted(contents(self.ever))


RestoredSite.TestCase.settings = settings(max_examples=60, stateful_step_count=20)
TestRestoredSite = RestoredSite.TestCase
