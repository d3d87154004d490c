"""The configuration of the embedded Kafka."""

from collections.abc import Mapping

HOST = "127.0.0.1"


def server_properties(port: int, controller_port: int, log_directory: str, extra: Mapping[str, str]) -> str:
    """Return the text of server.properties.

    Kafka runs in the data directory, and `log_directory` is a name inside it: it needs no escapes, and the
    directory may be moved.
    """
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.bootstrap.servers": f"{HOST}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": log_directory,
        **_SINGLE_NODE,
        **_DURABLE,
        **_LOW_MEMORY,
        **_FAST_START,
        **extra,
    }
    return "".join(f"{name}={value}\n" for name, value in properties.items())


_SINGLE_NODE = {
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "auto.create.topics.enable": "false",
    # Each half second without a change the controller would write a record, which no other controller waits for.
    "metadata.max.idle.interval.ms": "0",
}

# No other replica exists, so each acknowledged record must be on the disk.
_DURABLE = {"log.flush.interval.messages": "1"}

NO_FLUSH: Mapping[str, str] = {"log.flush.interval.messages": str(2**63 - 1)}

_LOW_MEMORY = {
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "4",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "log.cleaner.dedupe.buffer.size": "2097152",
}

# After kill -9, a restart waits until the session of the dead broker ends.
_FAST_START = {
    "group.initial.rebalance.delay.ms": "0",
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
}
