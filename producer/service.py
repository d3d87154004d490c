"""The producer: everything of it wired together."""

import asyncio
import contextlib

from prometheus_client import CollectorRegistry

from producer.config import Producer
from producer.metrics import Metrics
from producer.polling.poller import Poller
from producer.polling.window import Rules
from producer.publishing.publisher import Desk
from producer.publishing.topic_limits import KnownLimits
from producer.recovery.loader import Opener
from producer.sharding import hanging_transactions
from producer.sharding.assignment import Shards
from producer.sharding.shard import Shard
from producer.sources.jira_cloud.client import open_clients
from producer.sources.jira_cloud.source import Sites
from producer.sources.throttle import LINES
from producer.status_reporter import Report, status_key
from relay.aio import cancel_all, supervise, unless
from relay.config.schema_registry import SchemaRegistry
from relay.credentials.resolver import Credentials
from relay.credentials.url_policy import Hosts
from relay.kafka import KAFKA_FAILURES
from relay.kafka.connection import Connection
from relay.kafka.consumer_group import Member
from relay.kafka.producer import Writer
from relay.kafka.topic_admin import limits_of, shards_of
from relay.kafka.topics import Topics
from relay.organizations import Organization
from relay.schema_registry.store import SchemaStore, open_store
from relay.status.model import opened, service_key
from relay.status.reader import Past
from relay.status.writer import Board, sweep
from relay.telemetry.health import Health
from relay.timestamps import now_ms

SERVICE_VALID_MS = 60_000
BEAT_SECONDS = 1.0
STATUS_BEATS = 15
SWEEP_SECONDS = 3_600.0
LAST_WORDS_SECONDS = 3.0
STOP_SECONDS = 15.0


async def produce(
    config: Producer,
    schema_registry: SchemaRegistry,
    connection: Connection,
    credentials: Credentials,
    stop: asyncio.Event,
    registry: CollectorRegistry,
    health: Health,
) -> None:
    """Poll every organization of the shards that fall to this process, until `stop`.

    Raises RelayError where Kafka cannot be reached at the start or has not our topics.
    """
    health.ready("producer", ok=False, why="joining the group")
    topics = Topics(connection.kafka.topic_prefix)
    async with (
        open_store(schema_registry, connection) as store,
        Writer(connection) as writer,
        open_clients(LINES) as clients,
    ):
        found = await unless(stop, _looked_around(connection, store))
        if found is None:
            return
        count, limits = found
        metrics = Metrics(registry)
        opener = Opener(connection, topics, store, limits, metrics, now_ms)
        board = Board(writer, topics.status, lambda: member.trusted)
        hosts = Hosts(config.gateway_url, config.allowed_hosts)
        sites = Sites(clients, credentials, hosts, now_ms)
        work = Followers(config, sites, board, Past(connection, topics.status), metrics)
        shards = Shards(
            count,
            lambda number: Shard(number, member, opener.open, work),
            fenced=connection.profile.transactions,
        )
        member = Member(
            connection, f"{topics.prefix}.producer", topics.organizations, shards, offset_reset="earliest"
        )
        tasks = {
            asyncio.create_task(member.run(), name="membership of the producers' group"),
            asyncio.create_task(
                hanging_transactions.watch(connection, topics, shards), name="watch of the ends"
            ),
            asyncio.create_task(limits.watch(), name="watch of the limits"),
            asyncio.create_task(board.run(), name="status board"),
            asyncio.create_task(_beat(board, shards, member, health), name="beat"),
            asyncio.create_task(_sweep(board, connection, topics), name="sweep of the status board"),
        }
        try:
            await supervise(stop, tasks)
        finally:
            await cancel_all(tasks, attempts=1, seconds=STOP_SECONDS)
        last_words = Board(writer, topics.status)
        last_words.withdraw(service_key("produce"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await last_words.flush()


async def _looked_around(connection: Connection, store: SchemaStore) -> tuple[int, KnownLimits]:
    """How many shards there are, and what their topics take; none of it can be had while Kafka hangs."""
    count = await shards_of(connection)
    await store.event_encoder()
    return count, KnownLimits(connection, await limits_of(connection))


class Followers:
    """What is done for each organization that is ours (producer.shard.Work)."""

    def __init__(self, settings: Producer, sites: Sites, board: Board, past: Past, metrics: Metrics) -> None:
        self._settings = settings
        self._rules = Rules(
            settle=int(settings.settle_seconds * 1000),
            overlap=int(settings.overlap_seconds * 1000),
            day_every=int(settings.reread_day_every_seconds * 1000),
            week_every=int(settings.reread_week_every_seconds * 1000),
            late=settings.late_days * 86_400_000,
        )
        self._sites = sites
        self._board = board
        self._past = past
        self._metrics = metrics

    async def poll(self, organization: Organization, desk: Desk) -> None:
        """Follow it until cancelled or the desk breaks; paused, only tell so."""
        interval = organization.interval_seconds or self._settings.interval_seconds
        key = status_key(organization.name)
        previous = self._board.told(key) or await self._past.of(key)
        report = Report(organization, self._board, self._metrics, now_ms, interval, previous)
        if organization.paused:
            await report.renew_for_ever()
        site = self._sites.of(organization)
        await Poller(organization, desk, site, report, self._metrics, self._rules, interval, now_ms).run()

    def deleted(self, organization: str) -> None:
        """Nothing is told of it any more; its progress stays in Kafka."""
        self._board.withdraw(status_key(organization))
        self._let_go(organization)

    def released(self, organization: str) -> None:
        """It is for its new owner to tell of it."""
        self._board.forget(status_key(organization))
        self._let_go(organization)

    def _let_go(self, organization: str) -> None:
        self._sites.forget(organization)
        self._metrics.forget(organization)


async def _beat(board: Board, shards: Shards, member: Member, health: Health) -> None:
    """Tell whether this process can do its work: at once to the health page, at times on the status board."""
    status = opened("starting", now_ms())
    beats = 0
    while True:
        ready = shards.ready and member.trusted
        why = "not every shard is open" if shards.ready or shards.numbers else "it is no member of the group"
        health.ready("producer", ok=ready, why=f"{why}; the log says why")
        state = "active" if ready else "opening shards"
        if state != status.state or beats % STATUS_BEATS == 0:
            status = status.moved(state, f"shards {shards.numbers}", now_ms()).valid_for(SERVICE_VALID_MS)
            board.post(service_key("produce"), status)
        beats += 1
        await asyncio.sleep(BEAT_SECONDS)


async def _sweep(board: Board, connection: Connection, topics: Topics) -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        with contextlib.suppress(*KAFKA_FAILURES):
            await sweep(board, connection, topics.status, now_ms())
