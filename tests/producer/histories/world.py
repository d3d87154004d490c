"""Two organizations, their Jira and one shard's Kafka, and the processes that own it in turn."""

from contextlib import ExitStack, closing
from functools import partial
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from producer.sources.jira_cloud.pager import Walk
from relay.organizations import Organization
from relay.timestamps import DAY, day_start
from tests.producer.histories import jira, kafka
from tests.producer.histories.holds import check_cursors
from tests.producer.histories.jira import Jira
from tests.producer.histories.log import Log
from tests.producer.histories.process import Process
from tests.producer.histories.steps import Loop, Steps

BEGIN = day_start("2026-11-20") + 20 * 3_600_000
PAGE = 4
INTERVAL = 300

_SMALL = {
    "producer.polling.poller.PAGE": PAGE,
    "producer.polling.window.PAGE": PAGE,
    "producer.polling.poller.Walk": partial(Walk, limit=PAGE),
    "producer.sources.jira_cloud.pager.MOST_RECORDS": 10,
    "producer.publishing.transaction.MOST_EVENTS": 3,
    "producer.recovery.log_reader.TAIL_OFFSETS": 12,
}
_SIMULATED = {
    "producer.sources.jira_cloud.source.jira": jira,
    "relay.kafka.transactions.AIOKafkaProducer": kafka.Producer,
    "relay.kafka.transactions.patch_client": lambda _client: None,
    "relay.kafka.transactions.discard_producer": kafka.discard_producer,
    "relay.kafka.log_reader.AIOKafkaConsumer": kafka.Consumer,
    "relay.kafka.log_reader.guard_consumer": lambda _consumer: None,
    "relay.kafka.log_reader.high_watermarks": kafka.high_watermarks,
    "relay.kafka.log_reader.discard_consumer": kafka.discard_consumer,
}


class World:
    def __init__(self):
        self._stack = ExitStack()
        self.loop = self._stack.enter_context(closing(Loop()))
        self.told = self._stack.enter_context(capture_logs())
        patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in {**_SMALL, **_SIMULATED}.items():
            patch.setattr(name, value)
        patch.setattr("producer.sources.jira_cloud.source.time", SimpleNamespace(monotonic=self.loop.time))
        self.steps = Steps()
        self.log = Log(self.now_ms)
        self.jiras = {}
        self.organizations = {}
        self.wanted_from = {}
        """The longest history that was ever wanted, by organization."""
        self.live_from = {}
        """From when on records were ever taken for live; where all progress is lost, that may change."""
        self.first_added = {}
        self.unsteady = set()
        """Those of which history was wanted at one time and not at another."""
        self.owner = None
        self.replaced = []
        self.dumb = False
        self.strike = None
        """What is done to the step at which everything halts."""
        self.unmended = False
        """Whether Kafka has lost something since the shard was opened."""

    def now_ms(self):
        return BEGIN + int(self.loop.clock * 1_000)

    # what runs

    def add(self, name, *, backfill_days=None, **fields):
        """Added, or added again, or changed."""
        self.jiras.setdefault(name, Jira(self.now_ms)).dumb = self.dumb
        backfill_from = None if backfill_days is None else self.now_ms() - int(backfill_days * DAY)
        before = self.organizations.get(name)
        if name in self.first_added and (
            before is None or (before.backfill_from, before.state) != (backfill_from, "active")
        ):
            self.unsteady.add(name)
        self.first_added.setdefault(name, self.now_ms())
        self.organizations[name] = Organization(
            name,
            f"https://{name}.atlassian.net",
            "relay",
            before.added if before else self.now_ms(),
            self.now_ms(),
            before.revision + 1 if before else 1,
            **{"interval_seconds": INTERVAL, "backfill_from": backfill_from, **fields},
        )
        if backfill_from is not None:
            self.wanted_from[name] = min(backfill_from, self.wanted_from.get(name, backfill_from))
        self.follow()

    def delete(self, name):
        self.organizations.pop(name, None)
        self.follow()

    def follow(self):
        """Every process learns of a change, also one that was replaced and has not noticed."""
        for process in filter(None, [self.owner, *self.replaced]):
            process.shard.follow(dict(self.organizations))
        self.loop.settle()

    def take_over(self, skew_ms=0):
        """Another process owns the shard; the one before goes on until it notices."""
        if self.owner is not None:
            self.replaced.append(self.owner)
        self._begin(skew_ms)

    def hand_over(self):
        """The owner lets go in good order, while the next begins."""
        former = self.owner
        self.take_over()
        self.loop.create_task(former.shard.close())
        self.loop.settle()

    def kill(self, *, last_words_arrive=False, skew_ms=0):
        self.owner.kill(last_words_arrive=last_words_arrive)
        self._begin(skew_ms)

    def fall_dumb(self, *, dumb):
        """Jira knows no key of ours any more, or again; no walk goes on beyond that, since an empty page is its end."""
        while self.replaced:
            self.replaced.pop().kill(last_words_arrive=False)
        self.dumb = dumb
        for site in self.jiras.values():
            site.dumb = dumb

    def _begin(self, skew_ms):
        async def begin():
            self.owner = Process(self, skew_ms)

        self.loop.run_until_complete(begin())
        self.owner.shard.follow(dict(self.organizations))
        self.loop.settle()

    def opened(self, process):
        """What fails here is a defect that the shard tells of."""
        if process is self.owner:
            self.unmended = False
            check_cursors(self)

    def lose(self, counts):
        """Kafka dies, and comes back without the ends of some topics; what was on its way to it fails."""
        for step in list(self.steps.waiting):
            if step.kind != "jira":
                self.steps.let(step, "refused")
        self.loop.settle()
        for topic, count in counts.items():
            self.unmended |= self.log.cut(topic, count)

    # time

    def jump(self, seconds):
        """So much time passes in which nobody gets an answer."""
        self.loop.clock += seconds
        self.loop.settle()

    def run(self, seconds):
        """So much time passes in which everybody gets all answers at once; at a halt `strike` is done, once."""
        end = self.loop.clock + seconds
        self._free()
        while (timer := self.loop.next_timer()) is not None and timer <= end:
            self.loop.clock = max(self.loop.clock, timer)
            self._free()
        self.loop.clock = max(self.loop.clock, end)
        self._free()
        self.steps.free = False

    def _free(self):
        self.steps.free = True
        for step in list(self.steps.waiting):
            self.steps.let(step)
        self.loop.settle()
        if (halted := self.steps.halted) is not None:
            self.steps.halted = None
            self.strike(halted)
            self._free()

    def until(self, condition):
        for _ in range(100):
            self.loop.settle()
            if condition():
                return
            timer = self.loop.next_timer()
            assert timer is not None, "somebody does not end"
            self.loop.clock = max(self.loop.clock, timer)
        raise AssertionError("somebody does not end")

    def calm(self):
        """Everything heals, what is promised becomes visible, some of it as late as can be, and there is time to read all of it."""
        for process in (self.owner, *self.replaced):
            process.skew_ms = 0
        self.run(1_000)
        self.kill()
        self.fall_dumb(dumb=False)
        records = [record for site in self.jiras.values() for record in site.happened.values()]
        latest = max((record.visible for record in records if record.promised), default=0)
        self.jump(max(0, latest - self.now_ms()) / 1_000 + 1)
        for _ in range(3):
            self.run(700)
            for name in self.organizations:
                for ago in (6 * DAY, 13 * DAY // 2, 7 * DAY):
                    self.jiras[name].happen(self.now_ms() - ago, self.now_ms())
            self.jump(DAY / 1_000)
        self.run(700)

    def end(self):
        for process in (self.owner, *self.replaced):
            if process is not None and process.alive:
                process.kill(last_words_arrive=False)
        self._stack.close()
