"""The figures of a run as a table and as JSON, and the ratios of each version that was measured."""

import json
import platform
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results"


@dataclass(frozen=True, slots=True)
class Figures:
    """One run of one peer. Rates are of the part between a twentieth of the events and nearly all of them."""

    peer: str
    cores: int
    events: int
    """Events that arrived; fewer than there are where the time was over."""
    events_a_cpu_second: float
    events_a_second: float
    start_cpu_seconds: float
    """CPU time before the first request."""
    memory_mb: float
    """Most of the resident memory."""
    requests: int
    loop_us: float = 0.0
    """Mean µs of the loop of `core_speed` on the same core meanwhile; 0: not measured."""

    @property
    def events_a_loop(self) -> float:
        """Events in the CPU time of a thousand loops: a figure that does not depend on the speed of the core at the moment."""
        return self.events_a_cpu_second * self.loop_us / 1_000


COLUMNS: dict[str, tuple[str, Callable[[Figures], float], str]] = {
    "events_a_cpu_second": ("events a CPU second", lambda one: one.events_a_cpu_second, ",.0f"),
    "loop_us": ("µs of a fixed loop", lambda one: one.loop_us, ",.0f"),
    "events_a_loop": ("events in a thousand loops", lambda one: one.events_a_loop, ",.0f"),
    "events_a_second": ("events a second", lambda one: one.events_a_second, ",.0f"),
    "start_cpu_seconds": ("CPU seconds of the start", lambda one: one.start_cpu_seconds, ".1f"),
    "memory_mb": ("memory, MB", lambda one: one.memory_mb, ".0f"),
}


def table(runs: Sequence[Figures]) -> Iterator[str]:
    """Yield a table in Markdown: minimum, median and maximum of each figure, for each number of cores and each peer."""
    yield "| cores | peer | " + " | ".join(title for title, _, _ in COLUMNS.values()) + " |"
    yield "|---" * (2 + len(COLUMNS)) + "|"
    for (cores, peer), own in _grouped(runs).items():
        cells = [
            ", ".join(format(value, style) for value in _spread([read(one) for one in own]))
            for _, read, style in COLUMNS.values()
        ]
        yield f"| {cores} | {peer} | " + " | ".join(cells) + " |"


def summary(runs: Sequence[Figures], version: str, date: str, load: dict[str, Any]) -> dict[str, Any]:
    """Return the content of the file of a version."""
    return {
        "version": version,
        "date": date,
        "machine": f"{_processor()}, Python {platform.python_version()}",
        "load": load,
        "ratios": ratios(runs),
        "peers": [
            {"cores": cores, "peer": peer, "runs": len(own)}
            | {
                name: dict(
                    zip(
                        ("min", "median", "max"),
                        (round(value, 2) for value in _spread([read(one) for one in own])),
                        strict=True,
                    )
                )
                for name, (_, read, _) in COLUMNS.items()
            }
            for (cores, peer), own in _grouped(runs).items()
        ],
        "runs": [asdict(each) for each in runs],
    }


def ratios(runs: Sequence[Figures]) -> dict[str, float]:
    """Return the relay's median divided by that of each peer, in events a loop, and two cores by one in events a second."""
    found: dict[str, float] = {}
    medians = {
        key: (
            statistics.median(one.events_a_loop or one.events_a_cpu_second for one in own),
            statistics.median(one.events_a_second for one in own),
        )
        for key, own in _grouped(runs).items()
    }
    for (cores, peer), (of_peer, _) in medians.items():
        if peer != "relay" and (cores, "relay") in medians:
            found[f"relay / {peer}, {_cores(cores)}"] = round(medians[cores, "relay"][0] / of_peer, 2)
    if (1, "relay") in medians and (2, "relay") in medians:
        found["relay, two cores / one core"] = round(medians[2, "relay"][1] / medians[1, "relay"][1], 2)
    return found


def with_earlier(
    runs: Sequence[Figures], version: str, load: dict[str, Any], directory: Path = RESULTS
) -> list[Figures]:
    """Add the runs of an earlier call for this version and load: those with a peer and cores that were not measured now."""
    path = directory / f"{version}.json"
    if not path.exists() or (earlier := json.loads(path.read_text()))["load"] != load:
        return list(runs)
    measured = {(each.cores, each.peer) for each in runs}
    others = [Figures(**each) for each in earlier["runs"]]
    return [each for each in others if (each.cores, each.peer) not in measured] + list(runs)


def write(content: dict[str, Any], directory: Path = RESULTS) -> Path:
    """Write the file of a version, over that of an earlier run."""
    directory.mkdir(exist_ok=True)
    path = directory / f"{content['version']}.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def ratios_by_version(directory: Path = RESULTS) -> Iterator[str]:
    """Yield a table in Markdown of the ratios of each version, oldest first."""
    found = sorted(
        (json.loads(path.read_text()) for path in directory.glob("*.json")), key=lambda one: one["date"]
    )
    names = list(dict.fromkeys(name for one in found for name in one["ratios"]))
    if not names:
        return
    yield "| version | date | " + " | ".join(names) + " |"
    yield "|---" * (2 + len(names)) + "|"
    for one in found:
        cells = [format(one["ratios"][name], ".2f") if name in one["ratios"] else "" for name in names]
        yield f"| {one['version']} | {one['date'][:10]} | " + " | ".join(cells) + " |"


def _grouped(runs: Sequence[Figures]) -> dict[tuple[int, str], list[Figures]]:
    grouped: dict[tuple[int, str], list[Figures]] = {}
    for each in sorted(runs, key=lambda one: one.cores):
        grouped.setdefault((each.cores, each.peer), []).append(each)
    return grouped


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return min(values), statistics.median(values), max(values)


def _cores(count: int) -> str:
    return {1: "one core", 2: "two cores"}[count]


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine()
    )
