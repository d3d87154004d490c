"""The processes of `jira-relay consume`: how many they are, their shares of the settings, and their start.

Each is a member of the same consumer groups, as the processes of several machines are. The first one is the process that a user
starts: it delivers as well, and serves the telemetry of all (decision 54).
"""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import structlog
from pydantic import BaseModel

from consumer.destinations.contract import DestinationConfig
from management.settings import Settings
from relay.child_process import ChildProcess
from relay.config.base import ConfigModel
from relay.config.file_secret import FileSecret
from relay.errors import SettingsError
from relay.machine import available_cores, available_memory

MOST_BY_ITSELF = 2
BYTES_OF_EACH = 512 * 1024**2
"""More than a process takes that delivers a backlog to one destination (docs/operations/sizing.md)."""
BYTES_OF_FURTHER_DESTINATION = 64 * 1024**2
"""What a destination may hold in a process: 8 MB of records read, 32 MB set aside, 16 MB in flight, and a block."""

_OF_A_PROCESS = ("/dev/fd/", "/dev/stdin", "/proc/")


log = structlog.get_logger(__name__)


def process_count(
    wanted: int | Literal["auto"], destinations: Iterable[DestinationConfig], read_once: Path | None = None
) -> int:
    """Return how many processes to run: no more than any of the destinations may have requests at a time.

    `read_once`: as `file_read_once` returns it. Raises SettingsError for more processes than can read it.
    """
    if read_once is not None:
        if wanted not in ("auto", 1):
            raise SettingsError(
                f"{read_once} can be read by one process, and {wanted} were asked for. Write its content into a file, or set"
                " consumer.processes to 1."
            )
        return 1
    served = [*destinations]
    automatic = automatic_count(available_cores(), available_memory(), len(served))
    count = automatic if wanted == "auto" else wanted
    bounds = [most for each in served if (most := _most_requests(each)) is not None]
    return min([count, *bounds])


def note_fewer_processes(
    wanted: int | Literal["auto"], count: int, destinations: Mapping[str, DestinationConfig]
) -> None:
    """Log that fewer processes run than were asked for, and which settings bound them."""
    if wanted != "auto" and count < wanted:
        bounds = {name: _most_requests(config) for name, config in destinations.items()}
        settings = [f"destinations.{name}.max_requests" for name, most in bounds.items() if most == count]
        log.warning(
            "Fewer processes run than consumer.processes or --processes asks for, since each needs a request of its own. Raise the"
            " setting, or ask for fewer processes.",
            processes=count,
            wanted=wanted,
            settings=settings,
        )


def file_read_once(settings: BaseModel, config: Path | None) -> Path | None:
    """Return a file of the settings that is a pipe or belongs to this process, as `<(…)` does: no child can read it. None: there is none."""
    return next((each for each in _files([config, settings]) if _is_read_once(each)), None)


def _is_read_once(path: Path) -> bool:
    try:
        return str(path).startswith(_OF_A_PROCESS) or path.is_fifo()
    except OSError:  # in a folder that this process may not enter; the reader of the file says so
        return False


def _files(value: object) -> Iterator[Path]:
    if isinstance(value, Path):
        yield value
    elif isinstance(value, FileSecret):
        yield value.path
    elif isinstance(value, BaseModel):
        yield from _files(list(vars(value).values()))
    elif isinstance(value, Mapping):
        yield from _files(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _files(each)


def automatic_count(cores: float, memory: int, destinations: int) -> int:
    """Return one process for each whole core and for as much memory (bytes) as one takes, from 1 to 2."""
    each = BYTES_OF_EACH + (destinations - 1) * BYTES_OF_FURTHER_DESTINATION
    return max(1, min(int(cores), memory // each, MOST_BY_ITSELF))


def share_of(settings: Settings, number: int, count: int) -> Settings:
    """Return the settings of process `number` of `count`, from 1: together they have `max_requests` at a time."""
    shares = {name: _share(config, number, count) for name, config in settings.destinations.items()}
    return settings.model_copy(update={"destinations": shares})


def _share(config: DestinationConfig, number: int, count: int) -> DestinationConfig:
    most = _most_requests(config)
    if most is None or not isinstance(config, ConfigModel):
        return config
    share: DestinationConfig = config.model_copy(
        update={"max_requests": most // count + (number <= most % count)}
    )
    return share


def _most_requests(config: DestinationConfig) -> int | None:
    """Return the setting of the kinds that have it."""
    return getattr(config, "max_requests", None)


def start_children(count: int, config: Path | None, destinations: Sequence[str]) -> list[ChildProcess]:
    """Start the processes 2 to `count`. They load their program while this one loads its own."""
    program = [sys.executable, "-P", "-m", "cli", *(["--config", str(config)] if config else []), "consume"]
    program += [part for name in destinations for part in ("--destination", name)]
    # With -P and the path of this process, no folder that the relay happens to be started in replaces its modules.
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    return [
        ChildProcess(number, [*program, "--child", str(number), str(count)], environ)
        for number in range(2, count + 1)
    ]
