"""Measure the CPU time of a new event in the producer, step by step, without Kafka and without HTTP.

    .venv/bin/python benchmarks/producer.py [--events 8000] [--rounds 7]

The events are a day of one organization's history, from the bytes of Jira's pages to the records of the transactions. The last
line is of a record that is read again: it is parsed, mapped and paged in the same way, and its id is found in the ledger. The
garbage collector works as in `jira-relay produce`. Compare two versions in turn on the same machine: the ratio is what counts.
"""

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).parent.parent))

from backfill import DAY_MS, GAP_MS, record

import schemas
from producer.publishing.shard_topics import ShardTopics
from producer.publishing.transaction import PendingRecords, build_transaction, plan_transaction
from producer.sources.jira_cloud.mapping import restore_json, to_event
from producer.sources.jira_cloud.page import Page, parse_page_quickly
from producer.sources.jira_cloud.pager import Pager
from producer.sources.window_result import WindowResult
from producer.state.checkpoint import new_checkpoint
from producer.state.intervals import TimeRange
from producer.state.ledger import Ledger
from relay.avro.codec import Encoder, fingerprint
from relay.kafka.topic_facts import TopicLimits
from relay.kafka.topics import Topics

NAME = "org.atlassian.net"
DAY = TimeRange(20_000 * DAY_MS, 20_001 * DAY_MS)
SCHEMA = schemas.load("audit_event")
TOPICS = ShardTopics(Topics("benchmark"), 0, Encoder(SCHEMA, fingerprint(SCHEMA)))

REREAD = ("parse a page", "map", "page", "find again")

T = TypeVar("T")


class Stopwatch:
    """Sums the CPU seconds of each step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def run(self, step: str, work: Callable[[], T]) -> T:
        began = time.process_time()
        result = work()
        self.seconds[step] = self.seconds.get(step, 0.0) + time.process_time() - began
        return result


def make_pages(count: int) -> list[bytes]:
    """Return the pages of a day with so many records, each beginning with the last row of the one before, and an empty one."""
    first = DAY.start // GAP_MS
    records = [record(number * GAP_MS) for number in range(first, first + count)][::-1]
    parts = [*(records[start : start + 1000] for start in range(0, count, 999)), []]
    return [
        json.dumps({"offset": 0, "limit": 1000, "total": count, "records": part}).encode() for part in parts
    ]


def read_window(pages: Sequence[bytes], watch: Stopwatch) -> WindowResult:
    pager = Pager([DAY])
    for body in pages:
        page = watch.run("parse a page", lambda body=body: parse_page_quickly(body))
        assert isinstance(page, Page)  # noqa: S101 - the benchmark makes the page
        items = watch.run("map", lambda page=page: [to_event(each, NAME) for each in page.records])
        result = watch.run("page", lambda items=items, page=page: pager.add(items, page.size))
        if result is not None:
            return result
    raise ValueError("the pages do not end")


def publish(found: WindowResult, watch: Stopwatch) -> int:
    """Plan and build the transactions of a window, and return the number of their events."""
    checkpoint, ledger = new_checkpoint(NAME, DAY.end, now=DAY.end), Ledger(NAME)
    pending = PendingRecords(list(found.events), [], found.window, 60_000, DAY.start, restore_json)
    limits, published = TopicLimits(), 0
    while not pending.empty:
        collected = DAY.end + published
        plan = watch.run(
            "plan", partial(plan_transaction, pending, checkpoint, ledger, TOPICS, collected, limits)
        )
        complete = pending.empty
        build = partial(build_transaction, plan, checkpoint, ledger, TOPICS, limits, window_complete=complete)
        built = watch.run("build", partial(build, window=pending.window))
        offsets = list(range(published, published + len(built.records)))
        watch.run("progress records", partial(built.after_offsets, offsets))
        ledger.commit(built.delta)
        checkpoint = built.checkpoint(offsets)
        published += len(plan.events)
    again = PendingRecords(list(found.events), [], found.window, 60_000, DAY.start, restore_json)
    plan = watch.run(
        "find again", lambda: plan_transaction(again, checkpoint, ledger, TOPICS, DAY.end + published, limits)
    )
    return published + len(plan.events)


def main(count: int, rounds: int) -> None:
    pages, steps = make_pages(count), []
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    for _ in range(rounds):
        watch = Stopwatch()
        published = publish(read_window(pages, watch), watch)
        if published != count:
            raise ValueError(f"{published} of {count} events were published")
        steps.append({step: 1e6 * seconds / count for step, seconds in watch.seconds.items()})
    sums = {step: [step] for step in steps[0]}
    sums |= {
        "all of a new event": [step for step in sums if step != "find again"],
        "all of a reread": list(REREAD),
    }
    for name, parts in sums.items():
        values = [sum(each[part] for part in parts) for each in steps]
        print(f"{name:18} {min(values):6.2f} {statistics.median(values):6.2f} {max(values):6.2f} µs an event")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--events", type=int, default=8_000, help="events of the day, at most 8,000")
    parser.add_argument("--rounds", type=int, default=7, help="repetitions")
    given = parser.parse_args()
    main(given.events, given.rounds)
