"""Measure how the cost of delivery grows: with events, organizations, the size of an event, destinations, and their kind.

    .venv/bin/python benchmarks/growth.py events|organizations|size|destinations|kinds [--steps …] [--runs 3] [--events 200000]

`jira-relay consume`, as a user starts it, has one core of its own; Kafka and the receivers have the other ones (Linux only). The
events are those of `benchmarks/peers`, and so is the bare server that all but `kinds` send to. Of `kinds` each has a receiver that
accepts everything without a look at it: a slow one would add the CPU time of the relay at rest. The table has medians. A fixed
loop on the relay's core shows how fast the core is meanwhile: compare by the columns of loops, not of CPU time on a shared core.
"""

import argparse
import asyncio
import re
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent / "peers"))

import httpx
from aiohttp import web
from harness import Limits, load_topics, loaded_kafka, measure
from load import Shape
from programs import Place, Program, plain_schema, program, relay_to_several
from report import Figures
from sink import Sink

from embedded import ports
from sandbox.destinations.catalogue import PEERS
from simulators.elasticsearch.cluster import SimulatedCluster
from simulators.server import LoopbackServer

LIMITS = Limits(seconds=120.0)
SCRAPE_SECONDS = 0.25
ROWS_OF_AN_OBJECT = 10_000
"""An object of all events would be accepted at once, and show no rate."""
_ACCEPTED = re.compile(r"^jira_relay_consumer_events_accepted_total\{.*\} ([0-9.e+]+)$", re.MULTILINE)

Column = tuple[str, Callable[["Step"], str]]


@dataclass(frozen=True, slots=True)
class Question:
    """One table: what its steps are, and the events of each."""

    title: str
    steps: Sequence[str]
    shape: Callable[[str, int], Shape]
    columns: Sequence[Column] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """The runs of one row of a table."""

    name: str
    mean_bytes: float
    runs: Sequence[Figures]

    def median(self, read: Callable[[Figures], float]) -> float:
        return statistics.median(read(each) for each in self.runs)

    @property
    def us_an_event(self) -> float:
        """CPU time of an event at one destination."""
        return self.median(lambda one: 1e6 / one.events_a_cpu_second)

    @property
    def loops_an_event(self) -> float:
        """The same in rounds of the fixed loop: a figure that does not depend on the speed of the core at the moment."""
        return self.median(lambda one: 1_000 / one.events_a_loop)


QUESTIONS = {
    "events": Question(
        "events in the backlog",
        ("100000", "1000000", "3000000"),
        lambda step, _: Shape(int(step)),
    ),
    "organizations": Question(
        "organizations",
        ("1", "40", "1000", "10000"),
        lambda step, events: Shape(events, int(step)),
    ),
    "size": Question(
        "events",
        ("small", "mixed", "large"),
        lambda step, events: Shape(events // 4 if step == "large" else events, size=step),
        (("bytes of Avro", lambda one: f"{one.mean_bytes:,.0f}"),),
    ),
    "destinations": Question("destinations", ("1", "2", "6"), lambda _, events: Shape(events)),
    "kinds": Question("kind", tuple(PEERS), lambda _, events: Shape(events)),
}


class Accepted:
    """Counts the events that a relay's destination accepted, by the relay's metrics, in place of a Sink."""

    requests = 0
    rows = 0

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/metrics"

    def reset(self) -> None:
        self.rows = 0

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        async with httpx.AsyncClient(trust_env=False) as client:
            task = asyncio.create_task(self._follow(client))
            try:
                yield
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _follow(self, client: httpx.AsyncClient) -> None:
        while True:
            with suppress(httpx.HTTPError):  # it starts, or is busy
                found = _ACCEPTED.findall((await client.get(self._url)).text)
                self.rows = round(sum(map(float, found)))
            await asyncio.sleep(SCRAPE_SECONDS)


async def _accept(request: web.Request) -> web.Response:
    await request.content.read()
    if request.path.startswith("/services/collector"):
        return web.json_response({"text": "Success", "code": 0})
    if request.path == "/v1/logs":
        return web.Response(content_type="application/x-protobuf")
    return web.Response(status=204)


class AcceptingBulk:
    """Takes the place of the simulated cluster's bulk API: it accepts every document, and stores none."""

    def apply(self, body: bytes, *_: object) -> dict[str, Any]:
        return {"errors": False, "items": [{"create": {"status": 201}}] * (body.count(b"\n") // 2)}


@asynccontextmanager
async def receiver(kind: str, directory: Path, identity: int) -> AsyncIterator[dict[str, object]]:
    """Run the receiver of a kind; yield the settings of the destination. `identity`: port of a Sink, for Azure."""
    async with AsyncExitStack() as stack:
        if kind == "kafka":
            yield dict((await stack.enter_async_context(PEERS[kind](directory))).settings)
            return
        if kind == "elasticsearch":
            cluster = await stack.enter_async_context(SimulatedCluster())
            cluster.bulk = AcceptingBulk()  # type: ignore[assignment]
            yield {"endpoint": cluster.endpoint, "username": "relay", "password": "relay"}
            return
        server = LoopbackServer(_accept)
        url = await server.start()
        stack.push_async_callback(server.stop)
        azure = {"endpoint": f"http://127.0.0.1:{identity}", "rule_id": f"dcr-{'0' * 32}"}
        yield {
            "sentinel": {**azure, "credential": "managed-identity"},
            "sentinel-asim": {**azure, "credential": "managed-identity"},
            "splunk": {"endpoint": url, "token": str(uuid.uuid4())},
            "object-store": {
                "location": f"file://{directory.parent}",
                "max_rows": ROWS_OF_AN_OBJECT,
                "window_seconds": 2,
            },
            "http": {"url": f"{url}/live", "format": "ndjson"},
            "otlp": {"endpoint": url},
        }[kind]


async def run_kind(kind: str, place: Place, count: int, run: str) -> Figures:
    """Deliver the topic to a destination of a kind."""
    port = ports.pick_free_port()
    (place.directory / run).mkdir()
    async with receiver(kind, place.directory / run / "data", place.port) as settings:
        usual = program("relay", place, 1, run)
        start = f"RELAY_DESTINATIONS__{run.upper()}__"
        environment = {
            **{name: value for name, value in usual.environment.items() if not name.startswith(start)},
            **{f"{start}{name.upper()}": str(value) for name, value in {"kind": kind, **settings}.items()},
            "RELAY_TELEMETRY__LISTEN": f"127.0.0.1:{port}",
        }
        accepted = Accepted(port)
        async with accepted.following():
            return await measure(Program(kind, usual.command, environment), 1, accepted, count, LIMITS)


async def run_step(question: str, step: str, place: Place, shape: Shape, sink: Sink) -> Figures:
    run = f"p{time.time_ns()}"
    if question == "kinds":
        return await run_kind(step, place, shape.count, run)
    destinations = int(step) if question == "destinations" else 1
    started: Program = relay_to_several(place, destinations, run)
    return await measure(started, 1, sink, shape.count * destinations, LIMITS)


async def answer(question: str, given: argparse.Namespace) -> list[Step]:
    """Run all steps, in turn, and return their figures."""
    asked = QUESTIONS[question]
    steps = given.steps.split(",") if given.steps else list(asked.steps)
    shapes = {step: asked.shape(step, given.events) for step in steps}
    found: dict[str, list[Figures]] = {step: [] for step in steps}
    sink = Sink(plain_schema())
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        first = shapes[steps[0]]
        async with (
            loaded_kafka(directory / "kafka", first, prefix="p0") as (kafka, mean),
            sink.listening() as port,
        ):
            loaded = {first: ("p0", mean)}
            for shape in shapes.values():
                if shape not in loaded:
                    prefix = f"p{len(loaded)}"
                    loaded[shape] = prefix, await load_topics(kafka.bootstrap, prefix, shape)
            for turn in range(given.runs):
                for step, shape in shapes.items():
                    place = Place(kafka.bootstrap, loaded[shape][0], port, directory)
                    figures = await run_step(question, step, place, shape, sink)
                    found[step].append(figures)
                    print(f"turn {turn + 1}, {step}: {figures}", flush=True)
    return [Step(step, loaded[shapes[step]][1], found[step]) for step in steps]


def table(question: str, steps: Sequence[Step]) -> list[str]:
    """Return a table in Markdown: medians, and the cost of an event as a ratio to the first step."""
    asked, first = QUESTIONS[question], steps[0]
    columns: list[Column] = [
        *asked.columns,
        ("µs of CPU time an event", lambda one: f"{one.us_an_event:.1f}"),
        ("loops a thousand events", lambda one: f"{1_000 * one.loops_an_event:.0f}"),
        (f"of {first.name}", lambda one: f"{one.loops_an_event / first.loops_an_event:.2f}"),
        ("CPU seconds of the start", lambda one: f"{one.median(lambda each: each.start_cpu_seconds):.1f}"),
        ("memory, MB", lambda one: f"{one.median(lambda each: each.memory_mb):.0f}"),
    ]
    return [
        f"| {asked.title} | " + " | ".join(title for title, _ in columns) + " |",
        "|---" * (1 + len(columns)) + "|",
        *(
            f"| {f'{int(one.name):,}' if one.name.isdigit() else one.name} | "
            + " | ".join(read(one) for _, read in columns)
            + " |"
            for one in steps
        ),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("question", choices=tuple(QUESTIONS))
    parser.add_argument("--steps", help="other steps than usual, separated by commas")
    parser.add_argument("--events", type=int, default=200_000, help="events, where they are not the question")
    parser.add_argument("--runs", type=int, default=3, help="runs of each step, in turn")
    given = parser.parse_args()
    print(*table(given.question, asyncio.run(answer(given.question, given))), sep="\n")
