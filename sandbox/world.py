"""The world of a sandbox: embedded Kafka, simulated Jira and destinations, and the relay's services between them."""

import asyncio
import os
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from embedded import EmbeddedKafka, ports
from management import settings
from management.organizations.editor import OrganizationEdit, edit_organization
from relay.credentials.encryption_keys import make_encryption_key_file
from relay.credentials.keyring import CredentialOwner, Keyring, require_keyring
from relay.credentials.redaction import Redactor
from relay.errors import SettingsError
from relay.kafka import topic_admin
from relay.kafka.connection import Connection
from relay.organizations import Organization
from relay.telemetry import logs
from relay.timestamps import now_ms
from sandbox.child_environment import Addresses, render_settings, service_environment
from sandbox.console_process import ConsoleProcess, make_console
from sandbox.destinations.catalogue import PEERS
from sandbox.destinations.contract import DestinationPeer
from sandbox.expected import created_ms
from sandbox.processes import ServiceProcess
from simulators.jira_cloud.files import RecordsFileError
from simulators.jira_cloud.site import SimulatedSite
from simulators.jira_cloud.world import JiraWorld

SITE_NAMES = ("acme", "globex", "initech")
"""The names fall into three different shards."""
PAST_RECORDS, PAST_MS = 12, 3_600_000


@dataclass(frozen=True, slots=True)
class SandboxWorld:
    directory: Path
    config: Path
    kafka: EmbeddedKafka
    jira: JiraWorld
    destinations: Mapping[str, DestinationPeer]
    producer: ServiceProcess
    consumer: ServiceProcess
    console: ConsoleProcess
    connection: Connection


@asynccontextmanager
async def sandbox_directory(*, keep: bool) -> AsyncIterator[Path]:
    """Make a directory that only this user can read. It is deleted at the end unless `keep`."""
    directory = Path(tempfile.mkdtemp(prefix="jira-relay-sandbox-"))
    try:
        yield directory
    finally:
        if not keep:
            await asyncio.to_thread(_remove_directory, directory)


def _remove_directory(directory: Path) -> None:
    # A Kafka that was killed a moment ago may still have written while the tree was deleted: delete it again.
    for _ in range(5):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(0.2)


@asynccontextmanager
async def simulated_jira(records: Path | None) -> AsyncIterator[JiraWorld]:
    """Run three sites with an hour of records, or one that serves a file.

    Raises SettingsError when the file cannot be served.
    """
    async with JiraWorld(seed=random.getrandbits(32)) as jira:
        if records is None:
            now = now_ms()
            for name in SITE_NAMES:
                (await jira.add_site(name)).add_history(PAST_RECORDS, now - PAST_MS, now)
        else:
            site = await jira.add_site(SITE_NAMES[0])
            try:
                count = site.load_records(records)
            except RecordsFileError as error:
                raise SettingsError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
            if not count:
                raise SettingsError(f"The records file {records} has no audit record.")
        yield jira


@asynccontextmanager
async def running_world(
    directory: Path,
    jira: JiraWorld,
    kinds: Sequence[str],
    maven_repository: str | None,
    interval_seconds: float,
    progress: Callable[[int, int], None],
) -> AsyncIterator[SandboxWorld]:
    """Start everything, and yield when the organizations are added. At the end, kill the services and stop the rest.

    `kinds` are those of the destinations, keys of PEERS. `interval_seconds`: of polling.
    """
    config = directory / "relay.toml"
    kafka = EmbeddedKafka(
        directory / "kafka", maven_repository=maven_repository, flush_each_write=False, progress=progress
    )
    async with AsyncExitStack() as stack:
        destinations = {
            kind.replace("-", "_"): await stack.enter_async_context(PEERS[kind](directory / kind))
            for kind in kinds
        }
        producer, consumer = (
            _service_process(name, directory, config, destinations) for name in ("producer", "consumer")
        )
        console = make_console(directory, config, _peer_environment(destinations))
        # Early, so that the services load their programs while Kafka starts.
        for process in (producer, consumer, console.process):
            await process.start()
            stack.push_async_callback(process.kill)
        await stack.enter_async_context(kafka)
        keyring, connection = _configure(directory, config, kafka, jira, destinations, interval_seconds)
        await topic_admin.create_missing_topics(connection)
        for process in (producer, consumer, console.process):
            process.release()
        await _add_organizations(connection, keyring, jira.sites)
        yield SandboxWorld(
            directory, config, kafka, jira, destinations, producer, consumer, console, connection
        )


def log_to_file(path: Path) -> None:
    """Write the log of this process to a file, so that it does not disturb the screen."""
    logs.configure_logging("json", "info", Redactor(), path.open("a"))


def _service_process(
    name: str, directory: Path, config: Path, destinations: Mapping[str, DestinationPeer]
) -> ServiceProcess:
    verb = {"producer": "produce", "consumer": "consume"}[name]
    environ = service_environment(os.environ, _peer_environment(destinations), ports.pick_free_port())
    return ServiceProcess(name, ["--config", str(config), verb], environ, directory / f"{name}.log")


def _peer_environment(destinations: Mapping[str, DestinationPeer]) -> dict[str, str]:
    return {key: value for peer in destinations.values() for key, value in peer.environment.items()}


def _configure(
    directory: Path,
    config: Path,
    kafka: EmbeddedKafka,
    jira: JiraWorld,
    destinations: Mapping[str, DestinationPeer],
    interval_seconds: float,
) -> tuple[Keyring, Connection]:
    make_encryption_key_file(directory)
    tables = {name: peer.settings for name, peer in destinations.items()}
    addresses = Addresses(kafka.bootstrap, jira.gateway_url, tables)
    config.write_text(render_settings(directory, addresses, interval_seconds), "utf-8")
    loaded = settings.load(config, {})
    return require_keyring(loaded.secrets), Connection(loaded.kafka)


async def _add_organizations(
    connection: Connection, keyring: Keyring, sites: Mapping[str, SimulatedSite]
) -> None:
    # Concurrent edits fence one another within a shard; SITE_NAMES are in different shards.
    edits = (
        edit_organization(
            connection,
            name,
            _organization_edit(name, site, keyring),
            action="added",
            author="sandbox",
            now_ms=now_ms(),
        )
        for name, site in sites.items()
    )
    await asyncio.gather(*edits)


def _organization_edit(name: str, site: SimulatedSite, keyring: Keyring) -> OrganizationEdit:
    return lambda _before: _organization(name, site, keyring)


def _organization(name: str, site: SimulatedSite, keyring: Keyring) -> Organization:
    """Return the organization with a backfill from its first record, so that earlier records arrive too."""
    owner, now = CredentialOwner(name, site.url, site.user), now_ms()
    return Organization(
        name=name,
        url=site.url,
        user=site.user,
        added=now,
        modified=now,
        revision=0,
        credential_ciphertext=keyring.seal(SecretStr(site.token), owner),
        backfill_from=min([now, *(created_ms(record) for record in site.all_records())]),
    )
