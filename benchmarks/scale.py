"""Simulate the relay at scale on paper, and name the first limit that a growing load reaches.

    .venv/bin/python benchmarks/scale.py [--organizations 100000] [--events-per-day 1000000000] [--shards 64] [--producers 32]

The simulation draws the sizes of the organizations, puts each into its shard as the relay does, and compares the busiest shard,
process, site and rule in the busiest hour with their limits. It sends nothing. docs/scale.md explains each limit.
"""

import argparse
import math
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from pyroaring import BitMap64

from consumer.config import ConsumerConfig
from consumer.destinations.azure_ingestion.body import MAX_BODY_BYTES
from producer.config import ProducerConfig
from producer.polling.window import PollingConfig
from producer.publishing.transaction_size import TransactionLimits
from producer.sources.jira_cloud.pager import PagingLimits
from producer.sources.throttle import REQUEST_SLOTS
from producer.state.ledger import DayLedger
from relay.config.kafka import KafkaConfig
from relay.kafka.topic_facts import TopicLimits
from relay.kafka.topics import Topics, partition_of, topic_specs
from relay.timestamps import DAY_MS

DAY_SECONDS = 86_400
GROWTH = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0)
"""Parts of the load that are tried in turn."""
IDS_PER_EVENT = 1.1
"""A site gives ids to records in sequence, with some gaps."""


@dataclass(frozen=True, slots=True)
class Constants:
    """The relay's own bounds and defaults that decide how it grows."""

    interval_seconds: float = ProducerConfig().interval_seconds
    overlap_seconds: float = ProducerConfig().overlap_seconds
    reread_day_every_seconds: float = ProducerConfig().reread_day_every_seconds
    reread_week_every_seconds: float = ProducerConfig().reread_week_every_seconds
    late_days: int = ProducerConfig().late_days
    proof_every_seconds: float = PollingConfig().proof_every_ms / 1000
    page_records: int = PagingLimits().page_records
    request_slots: int = REQUEST_SLOTS
    transaction_events: int = TransactionLimits().max_events
    ledger_bytes: int = TopicLimits().max_progress_bytes
    retention_days: float = float(topic_specs(Topics(""), 1)[2].configs["retention.ms"]) / DAY_MS
    dirty_ratio: float = float(topic_specs(Topics(""), 1)[1].configs["min.cleanable.dirty.ratio"])
    replication_factor: int = KafkaConfig().replication_factor
    linger_seconds: float = ConsumerConfig().linger_seconds
    body_bytes: int = MAX_BODY_BYTES


@dataclass(frozen=True, slots=True)
class Costs:
    """Measured costs in CPU seconds (docs/performance.md), and assumptions about the peers."""

    round_cpu: float = 3.0e-3
    """A quiet round of one organization, with its share of proofs, commits and status."""
    read_cpu: float = 20e-6
    """A record that is read again and found in the ledger."""
    publish_cpu: float = 45e-6
    """A new event, from the page to the committed transaction."""
    deliver_cpu: float = 10e-6
    """An event at one destination."""
    transaction_seconds: float = 0.015
    """From the beginning of a transaction to its commit, three brokers in one region. Assumed."""
    answer_seconds: float = 0.3
    """An answer of Jira. Assumed."""
    organization_bytes: int = 17_000
    """Memory of an organization in a producer, without its ledgers."""
    process_bytes: int = 2_000_000_000
    """Memory of a producer. Assumed."""
    event_bytes: int = 400
    row_bytes: int = 1_000
    cleaner_bytes: float = 50e6
    """Bytes a second that the log cleaner of one broker copies, with its one thread (log.cleaner.threads). Assumed."""
    disk_bytes: float = 16e12
    """Disk of one broker. Assumed."""
    site_requests: float = 100.0
    """GET requests a second to one site. Source: Atlassian, "Rate limiting", jira-burst-based."""
    rule_bytes: float = 2e9
    """Bytes a minute into one data collection rule. Source: Azure Monitor service limits, "Logs Ingestion API"."""
    rule_requests: float = 12_000.0
    """Requests a minute to one data collection rule. Source as above."""


CONSTANTS, COSTS = Constants(), Costs()


@dataclass(frozen=True, slots=True)
class Load:
    """What the relay has to carry. `peak`: the busiest hour in relation to the mean one."""

    organizations: int = 100_000
    events_per_day: float = 1e9
    peak: float = 3.0


@dataclass(frozen=True, slots=True)
class Layout:
    """The processes and partitions; `consumers`: processes of one destination. Each process uses one core."""

    shards: int = 64
    producers: int = 32
    consumers: int = 8
    brokers: int = 6


@dataclass(frozen=True, slots=True)
class Use:
    """How much of a limit is used."""

    name: str
    used: float
    limit: float

    @property
    def share(self) -> float:
        return self.used / self.limit


@dataclass(frozen=True, slots=True)
class DrawnWorld:
    """Drawn organizations: the size of each in relation to the mean, and its shard."""

    sizes: list[float]
    shards: list[int]

    @classmethod
    def draw(cls, count: int, shards: int, seed: int = 1) -> "DrawnWorld":
        """Draw sizes from a log-normal distribution of mean 1: one organization in a hundred has a quarter of all events."""
        rng, sigma = random.Random(seed), 1.5
        sizes = [rng.lognormvariate(-sigma * sigma / 2, sigma) for _ in range(count)]
        return cls(sizes, [partition_of(f"site-{number}.atlassian.net", shards) for number in range(count)])


@dataclass(slots=True)
class _Busy:
    """What a shard or a process does in a second of the busiest hour."""

    organizations: int = 0
    events: float = 0.0
    records_again: float = 0.0
    requests: float = 0.0
    transactions: float = 0.0
    ledger_bytes: float = 0.0
    """Bytes of all ledgers that are kept."""
    written_ledger_bytes: float = 0.0

    def add(self, other: "_Busy") -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


def day_ledger_bytes(events: float) -> int:
    """Return the bytes of the ledger of a day with so many events, rounded to a twentieth, as the relay writes it."""
    return _day_ledger_bytes(round(20 * math.log(max(1.0, events))))


@cache
def _day_ledger_bytes(twentieths: int) -> int:
    span = max(2, round(math.exp(twentieths / 20) * IDS_PER_EVENT))
    gap = round(IDS_PER_EVENT / (IDS_PER_EVENT - 1))
    return len(DayLedger(BitMap64(range(span)) - BitMap64(range(0, span, gap))).ids.serialize())


def organization(size: float, load: Load, constants: Constants, ledger_bytes: float) -> _Busy:
    """Return what one organization asks for. `ledger_bytes`: of one of its days."""
    daily = size * load.events_per_day / load.organizations
    rate = daily / DAY_SECONDS * load.peak
    interval = constants.interval_seconds
    in_round = rate * interval
    quiet = math.exp(-in_round)
    overlap = min(rate * constants.overlap_seconds, 0.9 * constants.page_records) / interval
    again = (
        overlap
        + daily / constants.reread_day_every_seconds
        + daily * constants.late_days / constants.reread_week_every_seconds
    )
    proofs = quiet / constants.proof_every_seconds
    transactions = max(1 - quiet, in_round / constants.transaction_events) / interval + proofs
    return _Busy(
        1,
        rate,
        again,
        1 / interval + proofs + (rate + again) / constants.page_records,
        transactions,
        ledger_bytes * (constants.late_days + 1),
        (1 - quiet) / interval * ledger_bytes / 2,
    )


def uses(
    load: Load,
    layout: Layout,
    world: DrawnWorld,
    constants: Constants = CONSTANTS,
    costs: Costs = COSTS,
) -> list[Use]:
    """Return each limit and how much of it the load uses in its busiest hour."""
    shards = [_Busy() for _ in range(layout.shards)]
    requests = 0.0
    mean_daily = load.events_per_day / load.organizations
    for size, number in zip(world.sizes[: load.organizations], world.shards, strict=False):
        one = organization(size, load, constants, day_ledger_bytes(size * mean_daily))
        shards[number].add(one)
        requests = max(requests, one.requests)
    largest_day = max(world.sizes[: load.organizations]) * mean_daily
    producers = [_Busy() for _ in range(min(layout.producers, layout.shards))]
    total = _Busy()
    for number, shard in enumerate(shards):
        producers[number % len(producers)].add(shard)
        total.add(shard)
    return [
        *_producer_uses(shards, producers, constants, costs),
        Use("turns at the busiest site", requests * costs.answer_seconds, 1),
        Use("requests a second to the busiest site", requests, costs.site_requests),
        Use("bytes of the largest ledger", 2 * day_ledger_bytes(largest_day), constants.ledger_bytes),
        *_kafka_uses(load, layout, total, constants, costs),
        *_consumer_uses(layout, total, constants, costs),
    ]


def _producer_uses(
    shards: Sequence[_Busy], producers: Sequence[_Busy], constants: Constants, costs: Costs
) -> Iterator[Use]:
    def cpu(one: _Busy) -> float:
        rounds = one.organizations / constants.interval_seconds
        return rounds * costs.round_cpu + one.records_again * costs.read_cpu + one.events * costs.publish_cpu

    def memory(one: _Busy) -> float:
        return one.organizations * costs.organization_bytes + one.ledger_bytes

    transactions = max(one.transactions for one in shards)
    yield Use("transactions of the busiest shard", transactions * costs.transaction_seconds, 1)
    yield Use("CPU of the busiest producer", max(map(cpu, producers)), 1)
    requests = max(one.requests for one in producers) * costs.answer_seconds
    yield Use("requests of a producer at a time", requests, constants.request_slots)
    yield Use("memory of the largest producer", max(map(memory, producers)), costs.process_bytes)


def _kafka_uses(
    load: Load, layout: Layout, total: _Busy, constants: Constants, costs: Costs
) -> Iterator[Use]:
    copies = constants.replication_factor / layout.brokers
    kept = load.events_per_day * constants.retention_days * costs.event_bytes + total.ledger_bytes
    yield Use("disk of a broker", kept * copies, costs.disk_bytes)
    cleaned = total.written_ledger_bytes / constants.dirty_ratio * copies
    yield Use("log cleaner of a broker", cleaned, costs.cleaner_bytes)


def _consumer_uses(layout: Layout, total: _Busy, constants: Constants, costs: Costs) -> Iterator[Use]:
    consumers = min(layout.consumers, layout.shards)
    yield Use("CPU of a consumer", total.events * costs.deliver_cpu / consumers, 1)
    sent = total.events * costs.row_bytes * 60
    yield Use("bytes a minute into one rule", sent, costs.rule_bytes)
    bodies = sent / constants.body_bytes + consumers * 60 / constants.linger_seconds
    yield Use("requests a minute to one rule", bodies, costs.rule_requests)


def first_to_break(load: Load, layout: Layout, world: DrawnWorld) -> tuple[float, Use] | None:
    """Return the smallest part of the load that is too much, and the limit that it breaks most. None: none is."""
    for part in GROWTH:
        organizations = max(1, round(part * load.organizations))
        grown = replace(load, organizations=organizations, events_per_day=part * load.events_per_day)
        worst = max(uses(grown, layout, world), key=lambda use: use.share)
        if worst.share > 1:
            return part, worst
    return None


def main(load: Load, layout: Layout) -> None:
    world = DrawnWorld.draw(2 * load.organizations, layout.shards)
    print(f"{load.organizations:,} organizations, {load.events_per_day:,.0f} events a day, {layout}:")
    for use in sorted(uses(load, layout, world), key=lambda use: -use.share):
        print(f"{use.name:42} {use.used:>18,.3f} of {use.limit:>18,.0f} {use.share:>8.0%}")
    broken = first_to_break(load, layout, world)
    if broken is None:
        print("No limit breaks up to twice this load.")
    else:
        part, use = broken
        print(f"The first limit to break, at {part:.0%} of this load: {use.name} ({use.share:.0%}).")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name, default in (asdict(Load()) | asdict(Layout())).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    given = vars(parser.parse_args())
    main(*(kind(**{one: given[one] for one in asdict(kind())}) for kind in (Load, Layout)))
