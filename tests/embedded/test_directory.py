import asyncio
import sys

import pytest

from embedded import EmbeddedKafkaError
from embedded.directory import DataDirectory, DirectoryLimits

# Holds the inherited lock as Kafka does, and ends on SIGTERM.
HOLDER = "import os, sys, time; os.pwrite(int(sys.argv[1]), str(os.getpid()).encode(), 0); print(flush=True); time.sleep(60)"


@pytest.fixture
async def directory(tmp_path):
    made = DataDirectory(tmp_path / "data")
    yield made
    made.release()


async def test_a_kafka_of_an_earlier_program_is_ended(directory):
    await directory.claim()
    left = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLDER, str(directory.kafka_lock.descriptor)),
        pass_fds=(directory.kafka_lock.descriptor,),
        stdout=asyncio.subprocess.PIPE,
    )
    await left.stdout.readline()
    directory.release()
    await directory.claim()
    assert await left.wait() == -15


async def test_a_directory_in_use_is_rejected_with_the_setting(directory):
    await directory.claim()
    other = DataDirectory(directory.path)
    with pytest.raises(EmbeddedKafkaError, match=r"in use by another process \(\d+\).*embedded.data_dir"):
        await other.claim()


async def test_a_full_disk_is_rejected_before_kafka_starts(tmp_path):
    """Kafka does not start on a full disk, where it would reject every write until its next start."""
    directory = DataDirectory(tmp_path / "data", DirectoryLimits(min_free_bytes=1 << 62))
    with pytest.raises(EmbeddedKafkaError, match=r"data is full .* free some space.* embedded.data_dir"):
        await directory.claim()
    directory.release()


async def test_a_directory_is_formatted_whole_or_not_at_all(directory):
    await directory.claim()
    assert not directory.is_formatted("4.3.1")
    directory.formatting.mkdir()
    assert not directory.is_formatted("4.3.1")
    (directory.formatting / "meta.properties").write_text("")
    directory.commit_format("4.3.1")
    assert directory.is_formatted("4.3.1")
    assert directory.is_formatted("4.10.0")


async def test_data_of_a_newer_kafka_are_rejected(directory):
    await directory.claim()
    directory.formatting.mkdir()
    (directory.formatting / "meta.properties").write_text("")
    directory.commit_format("4.10.0")
    with pytest.raises(EmbeddedKafkaError, match=r"are of Kafka 4\.10\.0, newer than this program's 4\.3\.1"):
        directory.is_formatted("4.3.1")


async def test_corrupt_data_are_rejected(directory):
    await directory.claim()
    directory.log.mkdir()
    with pytest.raises(EmbeddedKafkaError, match="or they are corrupt"):
        directory.is_formatted("4.3.1")
