"""The console of a sandbox: a process of its own on a free port, with a token that ends with it."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from embedded import ports
from sandbox.child_environment import service_environment
from sandbox.processes import ServiceProcess


@dataclass(frozen=True, slots=True)
class ConsoleProcess:
    """The process, and what a person needs to sign in."""

    process: ServiceProcess
    url: str
    token: str


def make_console(directory: Path, config: Path, peers: Mapping[str, str]) -> ConsoleProcess:
    """Return the console, which is not started yet. `peers`: variables that locate the peers of the destinations."""
    listen, token = f"127.0.0.1:{ports.pick_free_port()}", secrets.token_urlsafe(16)
    environ = service_environment(os.environ, peers, ports.pick_free_port())
    environ |= {"RELAY_CONSOLE__LISTEN": listen, "RELAY_CONSOLE__TOKEN": token}
    arguments = ["--config", str(config), "console"]
    return ConsoleProcess(
        ServiceProcess("console", arguments, environ, directory / "console.log"), f"http://{listen}/", token
    )
