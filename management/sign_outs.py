"""Sessions of consoles that have ended before their time: records of the status topic, which every console follows."""

import structlog

from relay.avro.codec import InternalCodec
from relay.errors import describe, sentence
from relay.kafka import KAFKA_FAILURES, is_refusal
from relay.kafka.connection import Connection
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics
from relay.status.model import take_over, to_record

PREFIX = "console-sign-out/"
"""Of the keys. Producers delete such a record a day after its end, as that of any process that is gone."""

log = structlog.get_logger(__name__)


async def record_sign_out(
    connection: Connection, key: str, ends: int, now_ms: int, seconds: float
) -> str | None:
    """Record that a session has ended, for as long as its cookie could be used: until `ends` (ms UTC).

    Returns sentences that say why Kafka did not keep the record, or may not have; None: it did.
    """
    status = take_over("signed out", now_ms).valid_for(max(0, ends - now_ms))
    value = InternalCodec("status").encode(to_record(status))
    try:
        async with RecordWriter(connection) as writer:
            topic = Topics(connection.kafka.topic_prefix).status
            await writer.send(topic, key.encode(), value, seconds=seconds)
    except KAFKA_FAILURES as error:
        reason = sentence(describe(error))
        if is_refusal(error.__cause__):
            reason += " `jira-relay check --rights operator` names the right and the command that grants it."
        log.warning("A sign-out could not be recorded.", reason=reason)
        return reason
    return None
