import asyncio
import contextlib
import io
import json
import logging
import sys
from dataclasses import dataclass

import pytest
import structlog

from cli.main import main
from relay.kafka.connection import Connection
from relay.kafka.topics import create
from relay.settings import Kafka
from sandbox.jira import JiraWorld

SECRETS_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self):
        return json.loads(self.out)

    @property
    def said(self):
        return self.out + self.err


def _run(arguments, given):
    """The program, in this process, with streams of its own."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    stdin, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(given), "utf-8")
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(arguments)
    except SystemExit as end:
        return Ran(end.code, out.buffer.getvalue().decode(), err.buffer.getvalue().decode())
    finally:
        sys.stdin = stdin


class Relay:
    """The command line, as an operator has it; keys that were given must appear in nothing it says."""

    def __init__(self, environment):
        self.environment = environment
        self._given = []

    async def __call__(self, *arguments, key=None, code=0):
        given = b"" if key is None else key.encode()
        if key and key.strip():
            self._given.append(key.strip())
        ran = await asyncio.to_thread(_run, [str(argument) for argument in arguments], given)
        assert "Traceback" not in ran.said
        assert not [key for key in self._given if key in ran.said]
        assert ran.code == code, ran.said
        return ran

    async def add(self, site, *more, key=None, code=0):
        given = ("--url", site.url, "--user", site.user, "--api-key-file", "-", "--name", site.name)
        return await self("organizations", "add", *given, *more, key=key or site.token, code=code)

    async def listed(self):
        return {one["name"]: one for one in (await self("organizations", "list", "--json")).document}


@pytest.fixture
def environment(monkeypatch, tmp_path):
    """Sets variables of the relay; no others are set, and no settings file is found."""
    monkeypatch.chdir(tmp_path)
    for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
        monkeypatch.delenv(proxy.lower(), raising=False)

    def put(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))

    return put


@pytest.fixture
async def nowhere(environment, tmp_path):
    """The command line with a key to encrypt with, and no Kafka that answers."""
    secrets = tmp_path / "secrets.key"
    secrets.write_text(SECRETS_KEY)
    environment(RELAY_KAFKA__BOOTSTRAP="127.0.0.1:1", RELAY_SECRETS__KEY_FILE=secrets)
    with _logging_restored():
        yield Relay(environment)


@pytest.fixture
async def world():
    async with JiraWorld(seed=1) as world:
        yield world


@pytest.fixture
async def acme(world):
    return await world.add_site("acme")


@pytest.fixture
async def relay(kafka, prefix, environment, world, tmp_path):
    """The command line with a Kafka that has the topics, a key to encrypt with, and the simulated gateway."""
    secrets = tmp_path / "secrets.key"
    secrets.write_text(SECRETS_KEY)
    environment(
        RELAY_KAFKA__BOOTSTRAP=kafka.bootstrap,
        RELAY_KAFKA__TOPIC_PREFIX=prefix,
        RELAY_KAFKA__REPLICATION_FACTOR=1,
        RELAY_PRODUCER__GATEWAY_URL=world.gateway_url,
        RELAY_SECRETS__KEY_FILE=secrets,
    )
    await create(connection_of(kafka, prefix))
    with _logging_restored():
        yield Relay(environment)


@pytest.fixture
def connection(kafka, prefix):
    return connection_of(kafka, prefix)


def connection_of(kafka, prefix):
    return Connection(Kafka(bootstrap=kafka.bootstrap, topic_prefix=prefix, replication_factor=1, shards=2))


@contextlib.contextmanager
def _logging_restored():
    """A command sets the logging of its process once for all."""
    handlers, level, hook = logging.root.handlers[:], logging.root.level, sys.excepthook
    levels = {
        name: logger.level
        for name, logger in logging.root.manager.loggerDict.items()
        if isinstance(logger, logging.Logger)
    }
    yield
    sys.excepthook = hook
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    for name, logger in logging.root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger):
            logger.setLevel(levels.get(name, logging.NOTSET))
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
