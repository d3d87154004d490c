"""The embedded Kafka of `jira-relay up`: start, restart and stop."""

import asyncio
from contextlib import suppress

import pytest

from cli import embedded_kafka
from embedded import EmbeddedKafka, ports
from management.settings import Settings
from relay.config.embedded import EmbeddedConfig
from relay.config.kafka import KafkaConfig
from relay.kafka.connection import Connection
from relay.kafka.topic_admin import compare_topics
from relay.telemetry.health import Health


@pytest.fixture
def connection():
    return Connection(
        KafkaConfig(bootstrap=f"127.0.0.1:{ports.pick_free_port()}", replication_factor=1, shards=1)
    )


@pytest.fixture
async def kafka(tmp_path, connection):
    kafka = EmbeddedKafka(tmp_path / "kafka", int(connection.bootstrap.rpartition(":")[2]))
    yield kafka
    await kafka.stop()


async def test_a_kafka_that_is_killed_while_it_starts_is_started_again(kafka, connection):
    """A Kafka that is killed twice before it is ready starts with its topics."""
    killed = set()

    async def kill_two():
        while len(killed) < 2:
            with suppress(RuntimeError):
                if kafka.pid not in killed:
                    kafka.kill()
                    killed.add(kafka.pid)
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as group:
        group.create_task(kill_two())
        group.create_task(embedded_kafka._start_with_retries(kafka, connection))

    assert kafka.pid not in killed
    assert {report.state for report in await compare_topics(connection)} == {"correct"}


async def test_health_fails_while_kafka_is_dead(kafka):
    """The health report has a problem from the death of Kafka until it runs again."""
    health, stop = Health(), asyncio.Event()

    async def faulty(expected):
        async with asyncio.timeout(60):
            while any("embedded Kafka" in fault for fault in health.problems()) is not expected:
                await asyncio.sleep(0.01)

    await kafka.start()
    alive = asyncio.create_task(embedded_kafka.keep_alive(kafka, health)(stop))
    kafka.kill()
    await faulty(True)
    await faulty(False)
    stop.set()
    await alive


async def test_a_kafka_that_cannot_start_is_not_retried(kafka, connection):
    """A port that is taken is reported at once."""
    host, _, port = connection.bootstrap.rpartition(":")
    async with await asyncio.start_server(lambda *_: None, host, int(port)):
        with pytest.raises(embedded_kafka.RelayError, match="is in use"):
            await embedded_kafka._start_with_retries(kafka, connection)


async def test_a_stop_ends_the_download_of_kafka(tmp_path, monkeypatch):
    """The program ends at a stop, even when the mirror never answers."""
    asked, stop = asyncio.Event(), asyncio.Event()

    async def say_nothing(reader, writer):
        asked.set()
        await reader.read()
        writer.close()

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as mirror:
        url = f"http://127.0.0.1:{mirror.sockets[0].getsockname()[1]}"
        embedded = EmbeddedConfig(
            data_dir=tmp_path / "data", port=ports.pick_free_port(), maven_repository=url
        )

        async def stop_then():
            await asyncio.wait_for(asked.wait(), 60)
            stop.set()

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(stop_then())
            async with embedded_kafka.running_kafka(Settings(embedded=embedded), stop) as kafka:
                assert kafka is None
