"""A Kafka of three brokers, from the parts of the embedded one; each is a controller too, or three controllers run beside them."""

import asyncio
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from aiokafka.admin import AIOKafkaAdminClient

from embedded import EmbeddedKafka, ports
from embedded.archive import ClassArchive
from embedded.java import Java
from embedded.properties import HOST
from tests.support.kafka_listeners import listener_properties

CONTROLLER = 100
"""The number of the first controller, less one, where they are apart."""

SESSION_MS = 3_000
"""After so long without a sign of a node, its partitions get other leaders; 9,000 by default."""


class _Node(EmbeddedKafka):
    """One node. Its storage is formatted with the id of the cluster, since several nodes vote."""

    def __init__(self, directory: Path, cluster_id: str, port: int, extra: Mapping[str, str]) -> None:
        super().__init__(directory, port, heap="200m", flush_each_write=False, extra_properties=extra)
        self._cluster_id = cluster_id

    async def _format(self, runtime: Java, archive: ClassArchive) -> None:
        sharing = (archive.flag,) if archive.path.exists() else ()
        tool = ("kafka.tools.StorageTool", "format", "-t", self._cluster_id, "-c")
        process = await self._run(runtime, self._directory.formatting, *sharing, *tool)
        assert await asyncio.wait_for(process.wait(), 120) == 0


class _Controller(_Node):
    """A node that is no broker. It answers no client."""

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(HOST, self._port), 2)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True


class KafkaCluster:
    """Three brokers; every topic has a copy on each, and a write needs two of them.

    `controllers` is empty where each broker is a controller too. Then two brokers that are away take the quorum along, and
    nothing is led; with controllers apart, one broker alone can lead.
    """

    def __init__(
        self,
        directory: Path,
        wires: Sequence[Sequence[tuple[int, int]]] = ((), (), ()),
        *,
        controllers_apart: bool = False,
        unclean_elections: bool = False,
    ) -> None:
        """`wires`: for each broker the ports of the proxies in front of it, and the ports behind them.

        `unclean_elections`: a copy that was not in sync may lead when no other is there; what it lacks is lost.
        """
        cluster_id = f"r{secrets.token_urlsafe(16)[1:]}"
        brokers = [ports.pick_free_port() for _ in range(3)]
        quorum = {n + CONTROLLER * controllers_apart: ports.pick_free_port() for n in (1, 2, 3)}
        common = {
            **_properties(",".join(f"{n}@{HOST}:{port}" for n, port in quorum.items())),
            "unclean.leader.election.enable": str(unclean_elections).lower(),
        }
        self.bootstrap = ",".join(f"{HOST}:{port}" for port in brokers)
        self.nodes: dict[int, EmbeddedKafka] = {
            n: _Node(
                directory / f"node-{n}",
                cluster_id,
                port,
                {
                    "node.id": str(n),
                    "process.roles": "broker" if controllers_apart else "broker,controller",
                    **common,
                    **listener_properties(port, None if controllers_apart else quorum[n], wires[n - 1]),
                },
            )
            for n, port in enumerate(brokers, 1)
        }
        self.controllers: dict[int, EmbeddedKafka] = {
            n: _Controller(
                directory / f"controller-{n}",
                cluster_id,
                port,
                {
                    "node.id": str(n),
                    "process.roles": "controller",
                    **common,
                    "listeners": f"CONTROLLER://{HOST}:{port}",
                },
            )
            for n, port in quorum.items()
            if controllers_apart
        }

    async def __aenter__(self) -> Self:
        try:
            await asyncio.gather(*(node.start() for node in self._all))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for node in self._all:
            node.kill()  # without a quorum a node does not end by SIGTERM
        await asyncio.gather(*(node.stop() for node in self._all))

    @property
    def _all(self) -> Sequence[EmbeddedKafka]:
        return (*self.nodes.values(), *self.controllers.values())

    async def leader(self, topic: str, partition: int) -> int:
        """Return the node that leads a partition; -1: none does."""
        (found,) = await self._described([topic])
        return next(int(each["leader"]) for each in found["partitions"] if each["partition"] == partition)

    async def wait_until_in_sync(self, topics: Iterable[str], seconds: float = 60.0) -> None:
        """Wait until each node has a full copy of the topics."""
        async with asyncio.timeout(seconds):
            while any(
                len(part["isr"]) < len(self.nodes)
                for topic in await self._described(list(topics))
                for part in topic["partitions"]
            ):
                await asyncio.sleep(0.2)

    async def _described(self, topics: list[str]) -> list[dict[str, Any]]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            return list(await admin.describe_topics(topics))
        finally:
            await admin.close()


def _properties(voters: str) -> Mapping[str, str]:
    copies = dict.fromkeys(
        (
            "default.replication.factor",
            "offsets.topic.replication.factor",
            "transaction.state.log.replication.factor",
            "share.coordinator.state.topic.replication.factor",
        ),
        "3",
    )
    least = ("min.insync.replicas", "transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr")
    return {
        "controller.quorum.voters": voters,
        "controller.quorum.bootstrap.servers": ",".join(each.partition("@")[2] for each in voters.split(",")),
        "metadata.max.idle.interval.ms": "500",
        "broker.session.timeout.ms": str(SESSION_MS),
        **copies,
        **dict.fromkeys(least, "2"),
    }
