"""Measure the relay's consumer beside its peers, on one Kafka, one sink and the same events.

    .venv/bin/python benchmarks/peers [--events 400000] [--runs 3] [--peers relay,python,go,benthos] [--cores 1,2]

The peers are the relay as a user starts it (`jira-relay consume`), Python that handles each record alone, a consumer in Go
that is written by hand for this one table, and Benthos. Those in Go are built with `go`, and skipped where there is none. Each
delivers the same backlog of generated audit events, as gzip of JSON arrays below 1 MB, to a bare server. A peer that is a directory
is the relay of another checkout, such as the version before a change.

A peer has one core (`taskset`), then two. Kafka and the sink run on the other cores, or on the second one where there are two. Runs
of different peers alternate. Linux only. A run ends when all events have arrived, or after `--seconds` of delivery.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import report
from harness import Limits, loaded_kafka, measure
from load import Shape
from programs import NAMES, ROOT, Place, build, plain_schema, program, relay_to_several
from sink import Sink


def version() -> str:
    """Return the version and the commit of this checkout; `-changed` where files differ from the commit."""
    text = (ROOT / "pyproject.toml").read_text().split('\nversion = "', 1)[1].split('"', 1)[0]
    commit = subprocess.run(
        ["git", "describe", "--always", "--abbrev=8", "--exclude=*", "--dirty=-changed"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return f"{text}-{commit}" if commit else text


def verify(name: str, sink: Sink, count: int) -> dict[str, int]:
    """Print what arrived. Return how often each column has a value; empty where not all events arrived in the time."""
    distinct, columns = sink.verify()
    print(
        f"  {name}: {distinct:,} distinct events of {sink.rows:,} rows, {sink.too_large} bodies above 1 MB",
        flush=True,
    )
    return columns if distinct == count else {}


def compare_columns(columns: dict[str, dict[str, int]]) -> None:
    """Print each peer whose table differs from the relay's."""
    wanted = columns.get("relay")
    for name, found in columns.items():
        if wanted and found and found != wanted:
            differing = sorted(
                each for each in wanted.keys() | found.keys() if wanted.get(each) != found.get(each)
            )
            print(f"{name} has other values in {', '.join(differing)}.")


async def main(given: argparse.Namespace) -> None:
    if given.destinations > 1 and given.peers != "relay":
        raise SystemExit("Several destinations are measured of the relay alone: add --peers relay.")
    shape = Shape(given.events, given.organizations, given.size)
    limits, rows = Limits(given.seconds, group=given.group), shape.count * given.destinations
    runs: list[report.Figures] = []
    sink = Sink(plain_schema())
    with tempfile.TemporaryDirectory() as directory:
        names = build(given.peers.split(","), Path(directory))
        registry = "benthos" in names
        async with (
            loaded_kafka(Path(directory), shape, registry=registry) as (kafka, mean_bytes),
            sink.listening() as port,
        ):
            print(f"{shape.count:,} events of {mean_bytes:.0f} bytes of Avro are in Kafka.", flush=True)
            place = Place(kafka.bootstrap, "peers", port, Path(directory))
            columns: dict[str, dict[str, int]] = {}
            for turn in range(given.runs):
                for cores in map(int, given.cores.split(",")):
                    for name in names:
                        run = f"p{time.time_ns()}"
                        several = given.destinations > 1
                        started = (
                            relay_to_several(place, given.destinations, run)
                            if several
                            else program(name, place, cores, run)
                        )
                        try:
                            runs.append(await measure(started, cores, sink, rows, limits))
                        except RuntimeError as error:
                            print(f"{error}: this run is left out.", flush=True)
                            continue
                        print(f"turn {turn + 1}: {runs[-1]}", flush=True)
                        if name not in columns:
                            columns[name] = verify(name, sink, shape.count)
            compare_columns(columns)
    load = {
        "events": shape.count,
        "organizations": shape.organizations,
        "size": shape.size,
        "bytes": round(mean_bytes),
        "destinations": given.destinations,
    }
    usual = given.group is None and shape == Shape() and given.destinations == 1 and set(names) <= set(NAMES)
    directory = Path(given.results) if given.results else report.RESULTS if usual else None
    if directory is not None:
        runs = report.with_earlier(runs, version(), load, directory)
    print(*report.table(runs), sep="\n")
    if directory is not None:
        content = report.summary(runs, version(), datetime.now(UTC).isoformat(timespec="seconds"), load)
        path = report.write(content, directory)
        print(f"\nThe figures are in {path}.\n", *report.ratios_by_version(directory), sep="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--events", type=int, default=400_000, help="events in the backlog")
    parser.add_argument("--organizations", type=int, default=40, help="organizations that the events are of")
    parser.add_argument("--size", choices=("mixed", "small", "large"), default="mixed", help="kind of events")
    parser.add_argument(
        "--destinations", type=int, default=1, help="destinations of the relay; each gets all"
    )
    parser.add_argument("--runs", type=int, default=3, help="runs of each peer with each number of cores")
    parser.add_argument(
        "--peers",
        default=",".join(NAMES),
        help="peers, separated by commas; a directory is another checkout of the relay",
    )
    parser.add_argument("--cores", default="1,2", help="numbers of cores, separated by a comma")
    parser.add_argument("--seconds", type=float, default=10.0, help="most seconds of delivery in a run")
    parser.add_argument(
        "--group", help="directory of a control group for each number of cores: …/relay-{cores}"
    )
    parser.add_argument("--results", help="directory of the JSON; by default only the usual events leave one")
    asyncio.run(main(parser.parse_args()))
