"""The programs that are compared: how each is built, and how it is started."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import schemas
from relay.kafka.topics import Topics

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SINK_PATH = f"/dataCollectionRules/dcr-{'0' * 32}/streams/Custom-JiraAudit_CL?api-version=2023-01-01"
NAMES = ("relay", "python", "go", "benthos")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a program reads and sends to. `directory` holds the schema and the built programs."""

    bootstrap: str
    prefix: str
    port: int
    directory: Path


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    directory: Path = ROOT
    """Where it is started; a checkout of the relay runs from its own."""


def plain_schema() -> Any:
    """Return the schema of events without logical types, which the Go libraries read in ways of their own."""
    return json.loads(json.dumps(schemas.load("audit_event")), object_hook=_without_logical_type)


def _without_logical_type(node: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in node.items() if name != "logicalType"}


def build(names: Sequence[str], directory: Path) -> list[str]:
    """Build the programs that need it into `directory`. Return the names that can run; print why another cannot."""
    able = []
    (directory / "schema.json").write_text(json.dumps(plain_schema()))
    for name in names:
        source = {"go": HERE / "floor", "benthos": HERE / "benthos"}.get(name)
        if source is not None and not shutil.which("go"):
            print(
                f"{name} is skipped: there is no `go` on the PATH. Install Go 1.26 or newer, then run "
                f"`.venv/bin/python benchmarks/peers --peers {','.join(NAMES)}`."
            )
            continue
        if source is not None:
            print(f"{name} is being built; the first time takes some minutes.", flush=True)
            subprocess.run(
                ["go", "build", "-buildvcs=false", "-o", directory / name, "."],
                cwd=source,
                check=True,
                timeout=900,
            )
        able.append(name)
    return able


def program(name: str, place: Place, cores: int, run: str) -> Program:
    """Return a program with a consumer group of its own: one of NAMES, or the relay of another checkout, by its directory.

    `run`: a name that no other run has.
    """
    if name == "relay" or "/" in name:
        command = (sys.executable, "-m", "cli", "consume")
        return Program(
            name, command, _relay_environment(place, [run]), ROOT if name == "relay" else Path(name)
        )
    commands = {
        "python": (sys.executable, str(HERE / "by_record.py")),
        "go": (str(place.directory / "go"),),
        "benthos": (str(place.directory / "benthos"), "-c", str(HERE / "benthos" / "pipeline.yaml")),
    }
    environment = {
        "BOOTSTRAP": place.bootstrap,
        "TOPIC": Topics(place.prefix).events,
        "REGISTRY_TOPIC": f"{place.prefix}.registry",
        "GROUP": run,
        "SINK": f"127.0.0.1:{place.port}",
        "SINK_PATH": SINK_PATH,
        "SCHEMA": str(place.directory / "schema.json"),
        "THREADS": str(cores),
    }
    return Program(name, commands[name], environment)


def relay_to_several(place: Place, destinations: int, run: str) -> Program:
    """Return the relay with several destinations, which all send to the sink."""
    names = [f"{run}x{number}" for number in range(destinations)]
    return Program("relay", (sys.executable, "-m", "cli", "consume"), _relay_environment(place, names))


def _relay_environment(place: Place, names: Sequence[str]) -> dict[str, str]:
    """`names`: the destinations."""
    environment = {
        "RELAY_KAFKA__BOOTSTRAP": place.bootstrap,
        "RELAY_KAFKA__TOPIC_PREFIX": place.prefix,
        "RELAY_TELEMETRY__LISTEN": "127.0.0.1:0",
        "RELAY_CONSUMER__START": "earliest",
        "IDENTITY_ENDPOINT": f"http://127.0.0.1:{place.port}/token",
        "IDENTITY_HEADER": "header",
    }
    for name in names:
        start = f"RELAY_DESTINATIONS__{name.upper()}__"
        environment |= {
            f"{start}KIND": "sentinel",
            f"{start}ENDPOINT": f"http://127.0.0.1:{place.port}",
            f"{start}RULE_ID": f"dcr-{'0' * 32}",
            f"{start}CREDENTIAL": "managed-identity",
        }
    return environment
