"""The parts of a destination that one job works with."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass

from consumer.decoding.event_rules import compile_rules
from consumer.decoding.schema_lookup import SchemaLookup
from consumer.delivery.circuit_breaker import RateLimit
from consumer.delivery.dead_letters import DeadLetterWriter
from consumer.delivery.flow import DeliveryFlow
from consumer.delivery.route_states import RouteStates
from consumer.destinations.contract import Destination, DestinationConfig, Flow
from consumer.metrics import PipelineMetrics
from consumer.replay.letters import ReplayLetters
from consumer.replay.pace import live_wait
from consumer.replay.parts import ReplayParts
from consumer.replay.place_keeper import ProgressLog
from consumer.replay.runner import ReplayRun
from consumer.replay.selection import compile_selection
from consumer.replay.source_opener import SourceOpener
from consumer.targets.guard import TargetGuard
from consumer.timing import ConsumerTiming
from consumer.topic_settings import TopicSettings
from relay.errors import RelayError
from relay.kafka import Record
from relay.kafka.producer import RecordWriter
from relay.replays.job import ReplayJob, ReplayProgress


class JobRefusedError(RelayError):
    """The job can never run as it is asked for. The text says what to do."""


@dataclass(frozen=True, slots=True)
class DestinationParts:
    """The parts of one destination that its replays share with its pipelines."""

    name: str
    config: DestinationConfig
    flows: Mapping[Flow, Destination]
    guards: Mapping[Flow, TargetGuard]
    rate_limit: RateLimit
    """Of its pipelines: replays wait for it too."""
    live_routes: RouteStates
    """The circuit breakers of live delivery, which goes first."""
    schemas: SchemaLookup
    metrics: PipelineMetrics
    writer: RecordWriter
    dead_letter_topic: str
    topic_settings: TopicSettings
    workers: Executor


class JobOpener:
    """Opens the runs of the jobs of one destination."""

    def __init__(self, parts: DestinationParts, sources: SourceOpener, timing: ConsumerTiming) -> None:
        self._parts = parts
        self._sources = sources
        self._timing = timing
        self._rules = compile_rules(parts.name, parts.config)
        self._rate_limit = RateLimit()
        """Of all jobs: a wait that the destination asks a replay for holds up no live event."""

    def guard(self, job: ReplayJob) -> TargetGuard | None:
        """Return the guard of the target that the events of a job go to; None: the destination has no such target."""
        return self._parts.guards.get(_flow_of(job))

    @asynccontextmanager
    async def open(
        self, job: ReplayJob, before: ReplayProgress | None, log: ProgressLog
    ) -> AsyncIterator[ReplayRun]:
        """Open a run that begins at this progress.

        Raises JobRefusedError or ReplayConditionError for a job that can never run, NotRunnableHereError for one that another
        process can run, and other errors of KAFKA_FAILURES for a later attempt.
        """
        parts, flow = self._parts, _flow_of(job)
        if flow not in parts.flows:
            raise JobRefusedError(
                f"The destination {parts.name} has no target for history. Give it one in its settings, or start a replay --to-live."
            )
        if len({each.tp for each in job.ranges}) < len(job.ranges):
            raise JobRefusedError("The replay has two ranges of one partition. Start one replay for each.")
        self._require_target(job)
        selection = compile_selection(job, parts.name, parts.config)
        async with self._sources.open(job) as source:

            def fields(record: Record) -> Mapping[str, str]:
                return {"flow": flow, "replay": job.id, **source.letter_fields(record)}

            letters = ReplayLetters(self._letter_writer(fields))
            yield ReplayRun(
                job,
                before,
                ReplayParts(
                    self._delivery_flow(job, parts.flows[flow], letters),
                    letters,
                    parts.schemas,
                    self._rules,
                    selection,
                    source,
                    lambda: live_wait(parts.live_routes, parts.rate_limit, time.monotonic),
                ),
                log,
                self._timing.replay,
            )

    def _require_target(self, job: ReplayJob) -> None:
        """Raise JobRefusedError for a job that was started for another target: it would be divided between the two."""
        guard = self.guard(job)
        if guard is None or job.target is None or guard.address == job.target:
            return
        raise JobRefusedError(
            f"The replay was started for another target ({job.target}); the settings of {job.destination} name {guard.address} now."
            " What was sent stays where it is. Start another replay, which goes to the present target."
        )

    def _letter_writer(self, fields: Callable[[Record], Mapping[str, str]]) -> DeadLetterWriter:
        parts = self._parts
        return DeadLetterWriter(
            parts.writer,
            parts.dead_letter_topic,
            parts.name,
            topic_problem=lambda: parts.topic_settings.dead_letter_problem,
            fields=fields,
        )

    def _delivery_flow(
        self, job: ReplayJob, destination: Destination, letters: ReplayLetters
    ) -> DeliveryFlow:
        """Return a flow with a circuit breaker of its own: one job that is refused holds up no other."""
        return DeliveryFlow(
            destination,
            RouteStates(self._rate_limit, self._timing.breaker, destination.limits.routes),
            letters,
            self._parts.metrics,
            timing=self._timing.sender,
            workers=self._parts.workers,
            replay=job.id,
        )


def _flow_of(job: ReplayJob) -> Flow:
    return "live" if job.to_live else "history"
