"""The answers of brokers, as outcomes. Kafka answers by record batch, with an error code of its protocol."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from consumer.destinations.outcome import Outcome, Partial, Paused, Retry, Sent
from relay.errors import describe, one_line
from relay.kafka.external_topics import (
    BatchLimits,
    ClusterAccess,
    KafkaUnreachableError,
    WriteError,
)

MAX_QUOTED_CHARS = 200
ABSENT, HIDDEN, CLUSTER_REFUSED = 3, 29, 31
_SIZE_CODES = {10: "MESSAGE_TOO_LARGE", 18: "RECORD_LIST_TOO_LARGE"}
_CONTENT_CODES = {32: "INVALID_TIMESTAMP", 87: "INVALID_RECORD"}
_PASSING_CODES = {
    -1: "UNKNOWN_SERVER_ERROR",
    2: "CORRUPT_MESSAGE",
    5: "LEADER_NOT_AVAILABLE",
    6: "NOT_LEADER_OR_FOLLOWER",
    7: "REQUEST_TIMED_OUT",
    8: "BROKER_NOT_AVAILABLE",
    9: "REPLICA_NOT_AVAILABLE",
    13: "NETWORK_EXCEPTION",
    19: "NOT_ENOUGH_REPLICAS",
    20: "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    45: "OUT_OF_ORDER_SEQUENCE_NUMBER",
    47: "INVALID_PRODUCER_EPOCH",
    49: "INVALID_PRODUCER_ID_MAPPING",
    56: "KAFKA_STORAGE_ERROR",
    59: "UNKNOWN_PRODUCER_ID",
    74: "FENCED_LEADER_EPOCH",
    75: "UNKNOWN_LEADER_EPOCH",
    89: "THROTTLING_QUOTA_EXCEEDED",
    90: "PRODUCER_FENCED",
}
_REMEDIES = {
    ABSENT: ("UNKNOWN_TOPIC_OR_PARTITION", "Create the topic, or correct destinations.NAME.topic"),
    17: ("INVALID_TOPIC_EXCEPTION", "Correct destinations.NAME.topic"),
    HIDDEN: ("TOPIC_AUTHORIZATION_FAILED", "Grant the relay's user Write on the topic; destinations.NAME has the user"),
    CLUSTER_REFUSED: (
        "CLUSTER_AUTHORIZATION_FAILED",
        "Grant the relay's user IdempotentWrite on the cluster; destinations.NAME has the user",
    ),
    35: ("UNSUPPORTED_VERSION", "Upgrade the brokers to Kafka 2.1 or newer, or correct destinations.NAME.bootstrap_servers"),
    43: ("UNSUPPORTED_FOR_MESSAGE_FORMAT", "Set the topic's message format to that of Kafka 0.11 or newer, or correct destinations.NAME.topic"),
    44: ("POLICY_VIOLATION", "Read the broker's log, and correct its policy or destinations.NAME.topic"),
    76: ("UNSUPPORTED_COMPRESSION_TYPE", "Set destinations.NAME.compression to lz4 or none"),
}  # fmt: skip
"""Name and remedy of a refusal that an operator must end."""


_SETTING = re.compile(
    r"\bkafka\.(bootstrap\b(?!\.\w)|security_protocol|sasl_|oauth_|ca_file|certificate_file|key_file)"
)
"""A setting of the group kafka in a message; a host may begin with `kafka.` too."""
_RENAMED = {"bootstrap": "bootstrap_servers"}
_REREAD = ". A changed file or store is read again; changed settings need a restart."


@dataclass(frozen=True, slots=True)
class Place:
    """The destination's name, and the topic and the cluster of its records, for messages. `cluster` begins a sentence."""

    name: str
    topic: str
    cluster: str


def classify(
    results: Sequence[WriteError | None], place: Place, problem: Retry | Paused | None = None
) -> Outcome:
    """Return the outcome of the records of one body; None among the results: in the log of all in-sync replicas.

    `problem`: why the cluster did not answer, where that is known.
    """
    errors = [each for each in results if each is not None]
    if not errors:
        return Sent()
    rejected = {
        row: _rejection(each, place)
        for row, each in enumerate(results)
        if each is not None and each.records == 1 and is_judged(each)
    }
    unconfirmed = frozenset(row for row, each in enumerate(results) if each is not None) - rejected.keys()
    first = next((each for each in errors if each.state != "not sent"), errors[0])
    if all(each.state == "not sent" or is_judged(each) for each in errors) and first.state != "not sent":
        return Partial(rejected, unconfirmed, reason=_isolation(place), unprocessed=True)
    stopped = next((each for each in errors if each.state != "not sent" and not is_judged(each)), first)
    found = problem or _explain(stopped, place)
    if len(unconfirmed) == len(results):
        return found
    return Partial(rejected, unconfirmed, reason=found.reason, after=getattr(found, "after", None))


def is_judged(error: WriteError) -> bool:
    """Return whether a broker refused the records of a batch themselves: for their size, or for their content."""
    return error.state == "refused" and error.code in _SIZE_CODES.keys() | _CONTENT_CODES.keys()


def next_limits(
    limits: BatchLimits, results: Sequence[WriteError | None], initial: BatchLimits
) -> BatchLimits:
    """Return the bounds of the next batches: smaller ones after a refusal of several records, until the bad record is alone.

    A topic that takes no batch of a size will take none later; a bad record says nothing of later ones.
    """
    judged = [each for each in results if each is not None and is_judged(each) and each.records > 1]
    max_bytes = min([limits.max_bytes, *(each.bytes // 2 for each in judged if each.code in _SIZE_CODES)])
    rows = [max(1, each.records // 8) for each in judged if each.code in _CONTENT_CODES]
    if rows:
        return BatchLimits(max_bytes, min(rows))
    return BatchLimits(max_bytes, limits.max_records if judged else initial.max_records)


def access_problem(access: ClusterAccess, topics: Sequence[str], name: str, cluster: str) -> Paused | None:
    """Return why records cannot be written to one of these topics, by what the brokers report of them."""
    for topic in topics:
        found = access.topics.get(topic)
        code = ABSENT if found is None else found.error_code
        if found is not None and found.operations is not None and "Write" not in found.operations:
            code = code or HIDDEN
        if code in _REMEDIES:
            return _refusal(code, Place(name, topic, cluster))
    return None


def remark(access: ClusterAccess, topics: Sequence[str]) -> str:
    """Return what an operator should know of topics that take records; empty: nothing."""
    compacted = [topic for topic in topics if topic in access.topics and access.topics[topic].compacted]
    if not compacted:
        return ""
    return (
        f"the topic {compacted[0]} is compacted, so it keeps one event of each organization, which is the key; set its cleanup.policy to"
        " delete to keep all"
    )


def failure(error: Exception, place: Place) -> Retry | Paused:
    """Return the outcome of a call that raised an error: a refusal with a code, or another failure of the cluster."""
    code = getattr(error, "errno", None)
    if code in _REMEDIES and not isinstance(error, OSError):
        return _refusal(code, place)
    if isinstance(error, TimeoutError):
        return Retry(
            f"{place.cluster} did not answer in time. If this lasts, check its brokers and the network."
        )
    return Retry(f"A call to {place.cluster} failed ({one_line(describe(error))}).")


def busy(place: Place) -> Retry:
    """Return the outcome of records that were not sent, since others of the flow took the time of their call."""
    return Retry(
        f"{place.cluster} takes long over records that were sent before. If this lasts, check its brokers."
    )


def unreachable(fault: KafkaUnreachableError, place: Place, *, own: bool) -> Retry | Paused:
    """Return the outcome of a connection that no broker accepts. `own`: it is the relay's own, of the group kafka."""
    text = str(fault) if own else in_settings_of(place.name, str(fault))
    if fault.refused:
        return Paused(text)
    return Retry(text)


def unconfirmed(place: Place, seconds: float, throttled_seconds: float = 0.0) -> Retry:
    """Return the outcome of records that were not confirmed in time. They may be on the topic nevertheless."""
    if throttled_seconds:
        return Retry(
            f"A quota of {place.cluster} held up the relay for {throttled_seconds:.1f} s. Raise the producer_byte_rate of the relay's user."
        )
    return Retry(
        f"{place.cluster} did not confirm records for the topic {place.topic} within {seconds:g} s. If this lasts, check that its"
        " partitions have leaders and enough in-sync replicas (min.insync.replicas)."
    )


def own_topic(text: str, name: str) -> Paused:
    """Return the outcome of a topic that is the relay's own. `text` says which."""
    return Paused(f"{text} The settings are destinations.{name}.topic and .history_topic.")


def unusable_settings(text: str) -> Paused:
    """Return the outcome of settings or files that no connection can be made with. `text` names them."""
    return Paused(f"Kafka cannot be reached with these settings: {text}")


def in_settings_of(name: str, text: str) -> str:
    """Return a message about the relay's own connection with the settings of the destination `name`."""
    text = text.replace(_REREAD, "; a changed sasl_password_file is read again.")
    return _SETTING.sub(lambda found: f"destinations.{name}.{_RENAMED.get(found[1], found[1])}", text)


def _rejection(error: WriteError, place: Place) -> str:
    code = error.code or 0
    label = _SIZE_CODES.get(code) or _CONTENT_CODES[code]
    said = f"{label} {one_line(error.text, MAX_QUOTED_CHARS)}".strip()
    if code in _SIZE_CODES:
        return (
            f"The topic {place.topic} takes no record of {error.bytes} bytes ({said}). Raise its max.message.bytes, or lower"
            f" destinations.{place.name}.max_record_bytes."
        )
    if label == "INVALID_TIMESTAMP":
        return (
            f"The topic {place.topic} refuses the time of the record ({said}). Raise its message.timestamp.before.max.ms, or for"
            " a time ahead its message.timestamp.after.max.ms, or set its message.timestamp.type to LogAppendTime."
        )
    return f"The topic {place.topic} refuses the record ({said}). Read the broker's log for the reason."


def _isolation(place: Place) -> str:
    return f"The topic {place.topic} refused a batch; its records are sent in smaller ones."


def _explain(error: WriteError, place: Place) -> Retry | Paused:
    if error.state != "refused":
        return Retry(
            f"A write to the topic {place.topic} of {place.cluster} has no answer ({one_line(error.text, MAX_QUOTED_CHARS) or error.state})."
        )
    code = error.code or 0
    if code in _PASSING_CODES:
        return Retry(
            f"{place.cluster} did not take records for the topic {place.topic} ({_PASSING_CODES[code]})."
        )
    if code in _REMEDIES:
        return _refusal(code, place)
    return Paused(
        f"{place.cluster} refuses records for the topic {place.topic} with error code {code}. Look it up in Kafka's protocol, and check"
        f" the topic and destinations.{place.name}."
    )


def _refusal(code: int, place: Place) -> Paused:
    label, remedy = _REMEDIES[code]
    return Paused(
        f"{place.cluster} refuses records for the topic {place.topic} ({label}). {remedy.replace('NAME', place.name)}."
    )
