"""A real MirrorMaker 2, from jars that are downloaded like those of the embedded Kafka.

A newer version: `mvn dependency:list` of org.apache.kafka:connect-mirror and connect-runtime has the coordinates of the class path,
and `python -m embedded.artifact_lock tests/support/mirror_maker.lock COORDINATE...` locks them.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from embedded import EmbeddedKafka, artifacts, cache, java, ports
from embedded.file_lock import FileLock
from embedded.properties import HOST

_LOCK_FILE = Path(__file__).with_name("mirror_maker.lock")
_ONE_COPY = (
    *("replication.factor", "checkpoints.topic.replication.factor", "heartbeats.topic.replication.factor"),
    *("offset-syncs.topic.replication.factor", "offset.storage.replication.factor"),
    *("status.storage.replication.factor", "config.storage.replication.factor"),
)


@asynccontextmanager
async def mirroring(
    directory: Path, source: EmbeddedKafka, target: EmbeddedKafka, prefix: str, *, translate_offsets: bool
) -> AsyncIterator[None]:
    """Mirror the topics with this prefix while the block runs, under their names, and transactions whole. Kill it at the end.

    `translate_offsets`: also keep the offsets of the groups with this prefix at the target.
    """
    folder = cache.default_folder(os.environ, cache.home_folder())
    jars = await cache.fetch(artifacts.parse_lock_file(_LOCK_FILE.read_text()), folder)
    (directory / "mirror.properties").write_text(_properties(source, target, prefix, translate_offsets))
    held = FileLock(directory / "mirror.lock")
    assert held.acquire()
    process = await java.Java(java.find_java(), tuple(jars)).start(
        *("-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=info"),
        *("org.apache.kafka.connect.mirror.MirrorMaker", "mirror.properties"),
        directory=directory,
        lock=held.descriptor,
        output=directory / "mirror.log",
    )
    try:
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await asyncio.wait_for(process.wait(), 60)
        held.release()


def _properties(source: EmbeddedKafka, target: EmbeddedKafka, prefix: str, translate_offsets: bool) -> str:
    names = re.escape(prefix).replace("\\", "\\\\") + "\\\\..*"
    properties = {
        "clusters": "a,b",
        "a.bootstrap.servers": source.bootstrap,
        "b.bootstrap.servers": target.bootstrap,
        "a->b.enabled": "true",
        "b->a.enabled": "false",
        "a->b.topics": names,
        "a->b.groups": names,
        "replication.policy.class": "org.apache.kafka.connect.mirror.IdentityReplicationPolicy",
        "a.consumer.isolation.level": "read_committed",
        "a.exactly.once.source.support": "enabled",
        "b.exactly.once.source.support": "enabled",
        "dedicated.mode.enable.internal.rest": "true",
        "listeners": f"http://{HOST}:{ports.pick_free_port()}",
        "sync.group.offsets.enabled": str(translate_offsets).lower(),
        "sync.group.offsets.interval.seconds": "1",
        "emit.checkpoints.interval.seconds": "1",
        "refresh.topics.interval.seconds": "2",
        "refresh.groups.interval.seconds": "2",
        **dict.fromkeys(_ONE_COPY, "1"),
    }
    return "".join(f"{name}={value}\n" for name, value in properties.items())
