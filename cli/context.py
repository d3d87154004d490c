import asyncio
import getpass
import json
import os
import socket
import sys
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from relay.errors import SettingsError
from relay.kafka.connection import Connection
from relay.settings import Settings, load


@dataclass
class Context:
    """What every command begins with: the settings, read when first needed."""

    config: Path | None

    @cached_property
    def settings(self) -> Settings:
        return load(self.config)

    def connection(self) -> Connection:
        """The Kafka of the settings; without one, the embedded Kafka of a running `jira-relay up`."""
        return connection(self.settings)

    def outside_connection(self) -> Connection:
        """The Kafka of the settings, for commands that make no sense without one."""
        if self.settings.kafka.bootstrap is None:
            raise SettingsError(
                "No Kafka is set: give kafka.bootstrap (RELAY_KAFKA__BOOTSTRAP), or run `jira-relay up`, which brings its own."
            )
        return Connection(self.settings.kafka)


def connection(settings: Settings) -> Connection:
    """The Kafka of the settings, or the embedded one where none is set."""
    if settings.kafka.bootstrap is not None:
        return Connection(settings.kafka)
    embedded = {"bootstrap": f"127.0.0.1:{settings.embedded.port}", "replication_factor": 1}
    return Connection(settings.kafka.model_copy(update=embedded))


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def who() -> str:
    """The operator, as far as this machine knows."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def explain(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False, default=str))
