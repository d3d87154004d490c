from relay.kafka.topic_admin import compare_topics, create_missing_topics, read_shard_count
from relay.kafka.topics import Topics, partition_of
from tests.support.kafka import connection_to


async def test_missing_topics_are_created_as_specified(kafka, prefix):
    """`create_missing_topics` creates every missing topic, and then finds no problem."""
    connection = connection_to(kafka, prefix, shards=3)

    assert {report.state for report in await compare_topics(connection)} == {"missing"}
    assert {report.state for report in await create_missing_topics(connection)} == {"created"}
    assert {report.state for report in await create_missing_topics(connection)} == {"correct"}
    assert await read_shard_count(connection) == 3


async def test_the_shard_count_is_the_partition_count_of_the_topic(kafka, prefix):
    """A changed setting does not change the number of shards."""
    await create_missing_topics(connection_to(kafka, prefix, shards=3))

    assert await read_shard_count(connection_to(kafka, prefix, shards=16)) == 3


def test_partitions_equal_those_of_kafkas_java_client():
    """Kafka's own murmur2 test hashes 21 to -973932308."""
    assert partition_of("21", 1_000_000) == (-973932308 & 0x7FFFFFFF) % 1_000_000
    assert Topics("p").events == "p.events"
