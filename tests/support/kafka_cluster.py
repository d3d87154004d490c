"""A Kafka of three nodes, from the parts of the embedded one; each node is broker and controller."""

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


class KafkaCluster:
    """Three nodes; every topic has a copy on each, and a write needs two of them."""

    def __init__(self, directory: Path, wires: Sequence[Sequence[tuple[int, int]]] = ((), (), ())) -> None:
        """`wires`: for each node the ports of the proxies in front of it, and the ports behind them."""
        cluster_id = f"r{secrets.token_urlsafe(16)[1:]}"
        brokers = [ports.pick_free_port() for _ in range(3)]
        controllers = [ports.pick_free_port() for _ in range(3)]
        voters = ",".join(f"{n}@{HOST}:{port}" for n, port in enumerate(controllers, 1))
        self.bootstrap = ",".join(f"{HOST}:{port}" for port in brokers)
        self.nodes = {
            n: _Node(
                directory / f"node-{n}",
                cluster_id,
                brokers[n - 1],
                {
                    **_properties(n, voters),
                    **listener_properties(brokers[n - 1], controllers[n - 1], wires[n - 1]),
                },
            )
            for n in (1, 2, 3)
        }

    async def __aenter__(self) -> Self:
        try:
            await asyncio.gather(*(node.start() for node in self.nodes.values()))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for node in self.nodes.values():
            node.kill()  # without a quorum a node does not end by SIGTERM
        await asyncio.gather(*(node.stop() for node in self.nodes.values()))

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


def _properties(node: int, voters: str) -> Mapping[str, str]:
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
        "node.id": str(node),
        "controller.quorum.voters": voters,
        "controller.quorum.bootstrap.servers": ",".join(each.partition("@")[2] for each in voters.split(",")),
        "metadata.max.idle.interval.ms": "500",
        "broker.session.timeout.ms": str(SESSION_MS),
        **copies,
        **dict.fromkeys(least, "2"),
    }
