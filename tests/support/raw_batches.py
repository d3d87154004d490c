"""Record batches byte by byte, and a way to write them as any client of Kafka can."""

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import PolicyViolationError
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from relay.kafka import TopicPartition
from relay.kafka.connection import Connection

_CHECKSUM = slice(17, 21)
_GOOD_NAME, _BAD_NAME = b"header", b"h\xff\xfeder"


def stored_batch(
    first: int, values: list[bytes], *, key: bytes | None = None, epoch: int = 3, compression: int = 0
) -> bytes:
    """Return a batch as a broker stores it. `compression`: the codec's number, 0 for none."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=compression,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1_000_000,
    )
    for number, value in enumerate(values):
        builder.append(number, timestamp=1, key=key, value=value, headers=[(_GOOD_NAME.decode(), b"1")])
    built = bytearray(builder.build())
    built[:8] = first.to_bytes(8, "big")
    built[12:16] = epoch.to_bytes(4, "big")
    return bytes(built)


def with_right_checksum(batch: bytes) -> bytes:
    """Return the batch with a checksum that fits its content."""
    changed = bytearray(batch)
    changed[_CHECKSUM] = calc_crc32c(bytes(batch[_CHECKSUM.stop :])).to_bytes(4, "big")
    return bytes(changed)


def with_bad_header_name(batch: bytes) -> bytes:
    """Return the batch with a header name that is not UTF-8 in its last record."""
    before, _, after = batch.rpartition(_GOOD_NAME)
    return with_right_checksum(before + _BAD_NAME + after)


async def write_batch(connection: Connection, tp: TopicPartition, batch: bytes) -> int:
    """Send the bytes to Kafka as they are; return the error code of the answer."""
    async with AIOKafkaProducer(**connection.options()) as producer, asyncio.timeout(60):
        client = producer.client
        await client._wait_on_metadata(tp.topic)
        node = client.cluster.leader_for_partition(tp)
        request = ProduceRequest(None, -1, 5_000, [(tp.topic, [(tp.partition, batch)])])
        response = await client.send(node, request)
        ((_, ((_, error, *_),)),) = response.topics
        return int(error)


async def delete_records(connection: Connection, tp: TopicPartition, offset: int) -> None:
    """Delete the records before the offset, as kafka-delete-records.sh does; it needs a policy that deletes."""
    admin = AIOKafkaAdminClient(bootstrap_servers=connection.bootstrap)
    await admin.start()
    deletes = {"cleanup.policy": "compact,delete", "retention.ms": "-1"}
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, tp.topic, deletes)])
        async with asyncio.timeout(60):
            while True:
                try:
                    await admin.delete_records({tp: RecordsToDelete(before_offset=offset)})
                    return
                except PolicyViolationError:  # the leader does not know the new policy yet
                    await asyncio.sleep(0.05)
    finally:
        await admin.close()
