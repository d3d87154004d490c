import struct

import pytest

from embedded.ready import parse_metadata_response


def encode_string(value):
    return struct.pack(">h", -1) if value is None else struct.pack(">h", len(value)) + value.encode()


def encode_integers(*values):
    return struct.pack(f">i{len(values)}i", len(values), *values)


def metadata_response(ports, leaders):
    """Return a Metadata response of version 1 with one topic, whose partitions have these leaders."""
    brokers = b"".join(
        struct.pack(">i", 1) + encode_string("127.0.0.1") + struct.pack(">i", port) + encode_string(None)
        for port in ports
    )
    partitions = b"".join(
        struct.pack(">hii", 0, n, leader) + encode_integers(1) + encode_integers(1)
        for n, leader in enumerate(leaders)
    )
    topic = (
        struct.pack(">h", 0) + encode_string("events") + b"\0" + struct.pack(">i", len(leaders)) + partitions
    )
    return struct.pack(">ii", 7, len(ports)) + brokers + struct.pack(">ii", 1, 1) + topic


@pytest.mark.parametrize(
    ("ports", "leaders", "ready"),
    [
        ([9092], [1, 1], True),
        ([9092], [], True),
        ([9092], [1, -1], False),
        ([], [1], False),
        ([9093], [1], False),
    ],
)
def test_a_broker_is_ready_when_it_is_listed_and_every_partition_has_a_leader(ports, leaders, ready):
    assert parse_metadata_response(metadata_response(ports, leaders), 9092) is ready
