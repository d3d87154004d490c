"""The rules of a random history: what Jira, operators, processes, clocks and Kafka may do to a shard, in any order."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from relay.timestamps import DAY_MS
from tests.producer.histories import jira, kafka
from tests.producer.histories.holds import check_final_state, check_invariants
from tests.producer.histories.process import RETENTION_MS
from tests.producer.histories.world import ShardWorld
from tests.support.publisher import TOPICS

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
names = st.sampled_from(["acme", "acme", "acme", "globex"])
delays = st.sampled_from(
    [
        0,
        0,
        0,
        1,
        3 * SECOND,
        10 * MINUTE,
        20 * MINUTE,
        5 * HOUR,
        2 * DAY_MS,
        7 * DAY_MS - HOUR,
        7 * DAY_MS,
        8 * DAY_MS,
    ]
)
skews = st.sampled_from(
    [0, 0, 0, 1_500, 40 * SECOND, 2 * HOUR, 15 * DAY_MS, -40 * SECOND, -2 * HOUR, -15 * DAY_MS]
)
backfills = st.sampled_from([None, 0.3, 1, 3, 20])
OUTCOMES = {**kafka.OUTCOMES, "jira": jira.OUTCOMES}
"""Outcomes of each kind of step."""


class ShardMachine(RuleBasedStateMachine):
    """No event is in Kafka twice, no cursor is ahead of Kafka, and no event is missing at the end."""

    def __init__(self):
        super().__init__()
        self.world = ShardWorld()

    @initialize(
        backfill=backfills,
        other=st.booleans(),
        history=st.integers(0, 12),
        skew=skews,
        order=st.sampled_from(["newest first", "newest first", "another", "shuffled"]),
    )
    def begin(self, backfill, other, history, skew, order):
        self.world.add("acme", backfill_days=backfill)
        self.world.jiras["acme"].order = order
        if other:
            self.world.add("globex")
        for number in range(history):
            created = self.world.now_ms() - (number + 1) ** 3 * HOUR // 4
            self.world.jiras["acme"].add_record(created, created + number % 3 * DAY_MS)
        self.world.take_over(skew)

    # Jira

    @rule(
        name=names,
        count=st.integers(1, 7),
        delay=delays,
        apart=st.sampled_from([0, 0, 1, 7, 30_000]),
        old=st.booleans(),
    )
    def happen(self, name, count, delay, apart, old):
        """Create records now, some visible later; ids need not follow time."""
        if name in self.world.jiras:
            for number in range(count):
                now = self.world.now_ms()
                created = now - number * apart
                self.world.jiras[name].add_record(created, max(now, created + delay), old_id=old)

    @rule(name=names, count=st.integers(1, 6), ago=delays)
    def come_to_light(self, name, count, ago):
        """Make old records visible now that were hidden until now."""
        if name in self.world.jiras:
            for number in range(count):
                now = self.world.now_ms()
                self.world.jiras[name].add_record(now - ago + number % 2, now + number % 2)

    @precondition(lambda self: not self.world.unrepaired)
    @rule(name=names, count=st.integers(1, 5))
    def restore(self, name, count):
        """Restore a site from a backup: new records get the ids of those that are gone."""
        if name in self.world.jiras:
            self.world.jiras[name].restore(count)

    @rule(name=names, most=st.sampled_from([1, 3, 1_000]))
    def pages(self, name, most):
        if name in self.world.jiras:
            self.world.jiras[name].max_page_size = most

    @rule(name=names)
    def rename(self, name):
        """Rename a user: old records show the new name too, also between two pages of a window."""
        if name in self.world.jiras:
            self.world.jiras[name].renames += 1

    @rule(name=names, count=st.sampled_from([0, 0, 1, 2]))
    def fail(self, name, count):
        """Let records fail each page that would hold them, or let all be served again."""
        if name in self.world.jiras:
            self.world.jiras[name].fail_last(count)

    # steps

    @precondition(lambda self: self.world.steps.waiting)
    @rule(picks=st.lists(st.integers(0, 5), min_size=1, max_size=12))
    def go_on(self, picks):
        """Complete some of the waiting steps, in any order."""
        for pick in picks:
            if waiting := self.world.steps.waiting:
                self.world.steps.complete(waiting[pick % len(waiting)])
                self.world.loop.settle()

    @precondition(lambda self: self.world.steps.waiting)
    @rule(pick=st.integers(0, 5), fault=st.integers(0, 20))
    def strike(self, pick, fault):
        """Give a waiting step an unwanted outcome."""
        step = self.world.steps.waiting[pick % len(self.world.steps.waiting)]
        bad = OUTCOMES[step.kind][1:]
        self.world.steps.complete(step, bad[fault % len(bad)])
        self.world.loop.settle()

    @rule(seconds=st.sampled_from([0, 0, 5, 61, 301, 4_000]))
    def run(self, seconds):
        self.world.run(seconds)

    @rule(seconds=st.sampled_from([0.5, 9, 70, 1_000, 4 * 3_600, 86_400, 3 * 86_400, 11 * 86_400]))
    def jump(self, seconds):
        self.world.jump(seconds)

    # processes

    @rule(arrives=st.booleans(), skew=skews, rejects_key=st.sampled_from([False, False, False, True]))
    def kill(self, arrives, skew, rejects_key):
        """Start another process; with `rejects_key`, Jira knows no key of the relay."""
        self.world.kill(cancelled_commit_succeeds=arrives, skew_ms=skew)
        if rejects_key != self.world.jira_rejects_key:
            self.world.set_jira_rejects_key(rejects_key=rejects_key)

    @precondition(lambda self: len(self.world.replaced_processes) < 3)
    @rule(skew=skews)
    def take_over(self, skew):
        self.world.take_over(skew)

    @precondition(lambda self: len(self.world.replaced_processes) < 3)
    @rule()
    def hand_over(self):
        self.world.hand_over()

    @rule(skew=skews, arrives=st.booleans())
    def a_clock_jumps(self, skew, arrives):
        """Skew the owner's clock; `arrives`: whether a cancelled commit succeeds from now on."""
        self.world.owner.skew_ms = skew
        self.world.owner.cancelled_commit_succeeds = arrives

    # operators

    @rule(name=names, backfill=backfills, paused=st.sampled_from([False, False, True]))
    def change(self, name, backfill, paused):
        """Add an organization, add it again, or modify it."""
        self.world.add(name, backfill_days=backfill, state="paused" if paused else "active")

    @rule(name=names)
    def delete(self, name):
        self.world.delete(name)

    # Kafka

    @rule(live=st.integers(0, 8), history=st.integers(0, 8), progress=st.integers(0, 8))
    def lose_the_ends(self, live, history, progress):
        self.world.lose_log_ends({TOPICS.events: live, TOPICS.backfill: history, TOPICS.progress: progress})

    @rule(topic=st.sampled_from([TOPICS.events, TOPICS.backfill]))
    def expire(self, topic):
        self.world.log.expire(topic, self.world.now_ms() - RETENTION_MS)

    @invariant()
    def holds(self):
        if self.world.owner is not None:
            check_invariants(self.world)

    def teardown(self):
        try:
            if self.world.owner is not None:
                self.world.recover_and_read_all()
                check_final_state(self.world)
        finally:
            self.world.end()
