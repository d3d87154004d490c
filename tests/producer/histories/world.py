"""Two organizations, their Jira, one shard's Kafka, and the processes that own the shard in turn."""

from contextlib import ExitStack, closing
from functools import partial
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from producer.replays.jobs import RefillJobs
from producer.sharding.shard import stop_shard
from relay.organizations import Organization
from relay.replays.job import KnownReplay, ReplayJob
from relay.timestamps import DAY_MS, day_of, day_start
from tests.producer.histories import jira, kafka
from tests.producer.histories.holds import check_cursors, published
from tests.producer.histories.jira import FakeJira
from tests.producer.histories.log import ShardLog
from tests.producer.histories.process import ProducerProcess
from tests.producer.histories.steps import ExternalSteps, SimulatedTimeLoop

BEGIN = day_start("2026-11-20") + 20 * 3_600_000
INTERVAL = 300

_SIMULATED_CLIENTS = {
    "producer.sources.jira_cloud.source.jira": jira,
    "relay.kafka.transactions.AIOKafkaProducer": kafka.FakeProducer,
    "relay.kafka.transactions.consume_batch_errors": lambda _producer: None,
    "relay.kafka.transactions.patch_client": lambda *_: None,
    "relay.kafka.transactions.discard_producer": kafka.discard_producer,
    "relay.kafka.transactions.observe_throttling": lambda _client, _on_throttled: None,
    "relay.kafka.log_reader.AIOKafkaConsumer": kafka.FakeConsumer,
    "relay.kafka.log_reader.patch_consumer": lambda *_: None,
    "relay.kafka.log_reader.FetchValidator": lambda: SimpleNamespace(attach_to_reader=lambda _consumer: None),
    "relay.kafka.log_reader.high_watermarks": kafka.high_watermarks,
    "relay.kafka.log_reader.discard_consumer": kafka.discard_consumer,
}


class ShardWorld:
    def __init__(self):
        self._stack = ExitStack()
        self.loop = self._stack.enter_context(closing(SimulatedTimeLoop()))
        self.log_entries = self._stack.enter_context(capture_logs())
        patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in _SIMULATED_CLIENTS.items():
            patch.setattr(name, value)
        self.steps = ExternalSteps()
        self.log = ShardLog(self.now_ms)
        self.reports = []
        self.refills = RefillJobs(self._report, self.now_ms)
        self.refill = None
        """The refill that every process follows."""
        self.log_was_cut = False
        self.jiras = {}
        self.organizations = {}
        self.longest_backfill_from = {}
        """Start of the longest backfill ever wanted, by organization."""
        self.live_from = {}
        """Earliest start of live, by organization; a loss of all progress may change it."""
        self.first_added = {}
        self.backfill_changed = set()
        """Organizations whose backfill has changed."""
        self.owner = None
        self.replaced_processes = []
        self.jira_rejects_key = False
        self.fault = None
        """Called once with the step at which everything halts."""
        self.unrepaired = False
        """Whether Kafka has lost records since the shard was loaded."""

    def now_ms(self):
        return BEGIN + int(self.loop.clock * 1_000)

    # what runs

    def add(self, name, *, backfill_days=None, **fields):
        """Add an organization, add it again, or change it."""
        site = FakeJira(self.now_ms, partial(self._reuse_noticed, name))
        self.jiras.setdefault(name, site).rejects_key = self.jira_rejects_key
        backfill_from = None if backfill_days is None else self.now_ms() - int(backfill_days * DAY_MS)
        before = self.organizations.get(name)
        if name in self.first_added and (
            before is None or (before.backfill_from, before.state) != (backfill_from, "active")
        ):
            self.backfill_changed.add(name)
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
            self.longest_backfill_from[name] = min(
                backfill_from, self.longest_backfill_from.get(name, backfill_from)
            )
        self.set_organizations()

    async def _report(self, progress):
        self.reports.append(progress)

    def start_refill(self, name, since, until):
        """Let the window [since, until) of an organization be read again for one destination."""
        self.refill = ReplayJob(
            "20261130-071500-ab12",
            "soc",
            "refill",
            self.now_ms(),
            "ann",
            "running",
            self.now_ms(),
            "ann",
            by="created",
            from_ms=since,
            to_ms=until,
            organizations=(name,),
        )
        self.refills.take_over(
            SimpleNamespace(jobs={self.refill.id: KnownReplay(self.refill)}, unreadable={})
        )
        self.loop.settle()

    def _reuse_noticed(self, name, created):
        """Return whether an older event of the same day has a variant."""
        return not self.unrepaired and any(
            event["variant"] and event["created"] < created and day_of(event["created"]) == day_of(created)
            for (organization, _), entries in published(self).items()
            for _, event in entries
            if organization == name
        )

    def delete(self, name):
        self.organizations.pop(name, None)
        self.set_organizations()

    def set_organizations(self):
        """Pass the organizations to every process, also to replaced ones that have not noticed."""
        for process in filter(None, [self.owner, *self.replaced_processes]):
            process.shard.set_organizations(dict(self.organizations))
        self.loop.settle()

    def take_over(self, skew_ms=0):
        """Start another owner; the former one continues until it notices."""
        if self.owner is not None:
            self.replaced_processes.append(self.owner)
        self._begin(skew_ms)

    def hand_over(self):
        """Stop the owner in order while the next one starts."""
        former = self.owner
        self.take_over()
        self.loop.create_task(stop_shard(former.shard, former.task))
        self.loop.settle()

    def kill(self, *, cancelled_commit_succeeds=False, skew_ms=0):
        self.owner.kill(cancelled_commit_succeeds=cancelled_commit_succeeds)
        self._begin(skew_ms)

    def set_jira_rejects_key(self, *, rejects_key):
        """Make Jira reject or accept keys. Replaced processes are killed: a pager would take an empty page for the end."""
        while self.replaced_processes:
            self.replaced_processes.pop().kill(cancelled_commit_succeeds=False)
        self.jira_rejects_key = rejects_key
        for site in self.jiras.values():
            site.rejects_key = rejects_key

    def _begin(self, skew_ms):
        async def begin():
            self.owner = ProducerProcess(self, skew_ms)

        self.loop.run_until_complete(begin())
        self.owner.shard.set_organizations(dict(self.organizations))
        self.loop.settle()

    def shard_loaded(self, process):
        """Check the cursors; a failure here is a defect that the shard logs."""
        if process is self.owner:
            self.unrepaired = False
            check_cursors(self)

    def lose_log_ends(self, counts):
        """Restart Kafka without the ends of some topics; requests under way fail."""
        for step in list(self.steps.waiting):
            if step.kind != "jira":
                self.steps.complete(step, "refused")
        self.loop.settle()
        for topic, count in counts.items():
            self.unrepaired |= self.log.cut(topic, count)
            self.log_was_cut = True

    # time

    def jump(self, seconds):
        """Let time pass without any answer."""
        self.loop.clock += seconds
        self.loop.settle()

    def run(self, seconds):
        """Let time pass with each answer at once; at a halt, call `fault` once."""
        end = self.loop.clock + seconds
        self._complete_all()
        while (timer := self.loop.next_timer()) is not None and timer <= end:
            self.loop.clock = max(self.loop.clock, timer)
            self._complete_all()
        self.loop.clock = max(self.loop.clock, end)
        self._complete_all()
        self.steps.free = False

    def _complete_all(self):
        self.steps.free = True
        for step in list(self.steps.waiting):
            self.steps.complete(step)
        self.loop.settle()
        if (halted := self.steps.halted) is not None:
            self.steps.halted = None
            self.fault(halted)
            self._complete_all()

    def until(self, condition):
        for _ in range(100):
            self.loop.settle()
            if condition():
                return
            timer = self.loop.next_timer()
            assert timer is not None, "a task does not end"
            self.loop.clock = max(self.loop.clock, timer)
        raise AssertionError("a task does not end")

    def recover_and_read_all(self):
        """Repair everything, make promised records visible as late as allowed, and give time to read them."""
        for process in (self.owner, *self.replaced_processes):
            process.skew_ms = 0
        self.run(1_000)
        self.kill()
        self.set_jira_rejects_key(rejects_key=False)
        for site in self.jiras.values():
            site.fail_last(0)
        records = [record for site in self.jiras.values() for record in site.record_times.values()]
        latest = max((record.visible for record in records if record.promised), default=0)
        self.jump(max(0, latest - self.now_ms()) / 1_000 + 1)
        for _ in range(3):
            self.run(700)
            for name in self.organizations:
                for ago in (6 * DAY_MS, 13 * DAY_MS // 2, 7 * DAY_MS):
                    self.jiras[name].add_record(self.now_ms() - ago, self.now_ms())
            self.jump(DAY_MS / 1_000)
        self.run(700)

    def end(self):
        for process in (self.owner, *self.replaced_processes):
            if process is not None and process.alive:
                process.kill(cancelled_commit_succeeds=False)
        self._stack.close()
