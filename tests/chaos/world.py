"""The world of a round: Kafka, simulated Jira and Azure, and processes of the relay, each behind a proxy to Kafka."""

import base64
import os
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from embedded import EmbeddedKafka, ports
from management import settings
from relay.credentials.keyring import Keyring, load_keyring
from relay.kafka import topic_admin
from relay.kafka.connection import Connection
from sandbox.child_environment import Addresses, render_settings, service_environment
from sandbox.destinations.azure import RulePeer
from sandbox.destinations.contract import DestinationPeer
from sandbox.destinations.sentinel import TABLES as SENTINEL_TABLES
from simulators.azure.world import AzureWorld
from simulators.jira_cloud.world import JiraWorld
from tests.chaos.process_slot import ProcessSlot
from tests.chaos.proof_judge import LATE_DAYS, PROOF_KEY
from tests.support.kafka_cluster import KafkaCluster
from tests.support.kafka_listeners import listener_properties
from tests.support.kafka_proxy import KafkaProxy

SESSION_SECONDS = 6
OVERLAP_SECONDS = 60
SETTINGS = {
    "RELAY_KAFKA__SHARDS": "6",
    "RELAY_KAFKA__GROUP_SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS),
    "RELAY_PRODUCER__INTERVAL_SECONDS": "1.5",
    "RELAY_PRODUCER__SETTLE_SECONDS": "0.5",
    "RELAY_PRODUCER__OVERLAP_SECONDS": str(OVERLAP_SECONDS),
    "RELAY_PRODUCER__REREAD_DAY_EVERY_SECONDS": "15",
    "RELAY_PRODUCER__REREAD_WEEK_EVERY_SECONDS": "60",
}


@dataclass
class ChaosWorld:
    directory: Path
    nodes: Sequence[EmbeddedKafka]
    """The brokers of Kafka: one or three."""
    controllers: Sequence[EmbeddedKafka]
    """The controllers that are no brokers: none or three."""
    jira: JiraWorld
    azure: AzureWorld
    destinations: Mapping[str, DestinationPeer]
    slots: list[ProcessSlot]
    connection: Connection
    keyring: Keyring
    key_directory: Path
    """Directory of the files of referenced API keys."""
    has_watch: bool = False
    """Whether a process counts and seals days."""

    def is_old(self, name: str) -> bool:
        """Return whether an organization was added days ago, so that days of it are over: every second one, for a watch."""
        return self.has_watch and int(name.rpartition("-")[2]) % 2 == 0


@asynccontextmanager
async def running_world(
    directory: Path,
    seed: int,
    producers: int,
    consumers: int,
    brokers: int = 1,
    *,
    controllers_apart: bool = False,
    unclean_elections: bool = False,
    watches: int = 0,
    processes: int = 1,
) -> AsyncIterator[ChaosWorld]:
    """Start everything, without an organization. Kill the processes at the end. `processes`: of each consumer."""
    names = [f"producer {number}" for number in range(1, producers + 1)]
    names += [f"consumer {number}" for number in range(1, consumers + 1)]
    names += [f"watch {number}" for number in range(1, watches + 1)]
    wires = {
        name: [(ports.pick_free_port(), ports.pick_free_port()) for _ in range(brokers)] for name in names
    }
    by_broker = list(zip(*wires.values(), strict=True))
    kafka = (
        _build_broker(directory / "kafka", by_broker[0])
        if brokers == 1
        else KafkaCluster(
            directory / "kafka",
            by_broker,
            controllers_apart=controllers_apart,
            unclean_elections=unclean_elections,
        )
    )
    variables = {
        **SETTINGS,
        "RELAY_KAFKA__REPLICATION_FACTOR": str(brokers),
        "RELAY_CONSUMER__PROCESSES": str(processes),
    }
    if watches:
        proof_key = base64.b64encode(PROOF_KEY).decode()
        variables |= {"RELAY_PROOF__KEY": proof_key, "RELAY_PRODUCER__LATE_DAYS": str(LATE_DAYS)}
    async with AsyncExitStack() as stack:
        jira = await stack.enter_async_context(JiraWorld(seed=seed))
        azure = await stack.enter_async_context(AzureWorld(seed=seed))
        await stack.enter_async_context(kafka)
        config, key_directory = _configure(directory, kafka, jira, azure)
        loaded = settings.load(config, variables)
        connection, keyring = Connection(loaded.kafka), load_keyring(loaded.secrets)
        assert keyring is not None
        await topic_admin.create_missing_topics(connection)
        slots = []
        for name, (first, *others) in wires.items():
            proxy = await stack.enter_async_context(KafkaProxy(*first, *others))
            slots.append(_build_slot(name, directory, config, variables, azure, proxy, key_directory))
        for slot in slots:
            stack.push_async_callback(slot.kill)
            await slot.start()
        yield ChaosWorld(
            directory,
            *(
                ([kafka], [])
                if isinstance(kafka, EmbeddedKafka)
                else (list(kafka.nodes.values()), list(kafka.controllers.values()))
            ),
            jira,
            azure,
            {"sentinel": RulePeer(azure, SENTINEL_TABLES)},
            slots,
            connection,
            keyring,
            key_directory,
            watches > 0,
        )


def _build_broker(directory: Path, wires: Sequence[tuple[int, int]]) -> EmbeddedKafka:
    """Return a Kafka of one broker with a listener for each proxy, so that one connection can be cut alone."""
    port, controller = ports.pick_free_port(), ports.pick_free_port()
    return EmbeddedKafka(
        directory,
        port,
        heap="512m",
        flush_each_write=False,
        extra_properties={
            **listener_properties(port, controller, wires),
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
            "num.network.threads": "1",
        },
    )


def _configure(
    directory: Path, kafka: EmbeddedKafka | KafkaCluster, jira: JiraWorld, azure: AzureWorld
) -> tuple[Path, Path]:
    key_directory = directory / "keys"
    key_directory.mkdir()
    (directory / "secrets.key").write_bytes(base64.b64encode(secrets.token_bytes(32)))
    config = directory / "relay.toml"
    addresses = Addresses(
        kafka.bootstrap, jira.gateway_url, {"sentinel": RulePeer(azure, SENTINEL_TABLES).settings}
    )
    config.write_text(render_settings(directory, addresses), "utf-8")
    return config, key_directory


def _build_slot(
    name: str,
    directory: Path,
    config: Path,
    variables: Mapping[str, str],
    azure: AzureWorld,
    proxy: KafkaProxy,
    key_directory: Path,
) -> ProcessSlot:
    role = name.partition(" ")[0]
    words = {"producer": ["produce"], "consumer": ["consume"], "watch": ["proof", "watch"]}[role]
    module = "tests.chaos.quick_watch" if role == "watch" else "cli.service_process"
    environ = {
        **service_environment(os.environ, azure.environment(), ports.pick_free_port()),
        **variables,
        "RELAY_KAFKA__BOOTSTRAP": proxy.addresses,
        "RELAY_SECRETS__DIRECTORY": str(key_directory),
    }
    log = directory / f"{name.replace(' ', '-')}.log"
    return ProcessSlot(name, ["--config", str(config), *words], environ, log, proxy, module)


def now_ms() -> int:
    return time.time_ns() // 1_000_000
