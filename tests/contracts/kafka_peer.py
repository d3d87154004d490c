"""The peer of the kind kafka: a simulated broker; tests/consumer/destinations/kafka/test_contract.py has a real one."""

from contextlib import asynccontextmanager

from consumer.destinations.kafka.config import TopicConfig
from consumer.destinations.outcome import Partial, Paused, Retry, Sent
from simulators.kafka.broker import SimulatedKafka
from tests.contracts.peer import ROUTED_ORGANIZATION, Answer, Peer

PASSWORD = "a-long-password"
LIVE, HISTORY, ROUTED, ROUTED_HISTORY = "jira", "jira-history", "jira-routed", "jira-routed-history"
PASSING = (-1, 2, 45, 47, 59, 74, 90)
"""Codes after which the same records may be sent again, and which aiokafka does not repeat by itself."""
PAUSING = (17, 29, 31, 35, 43, 44, 76, 99)
UID = "acme.atlassian.net/1"


@asynccontextmanager
async def kafka_peer(_monkeypatch, directory, **settings):
    """`settings` replace those of the destination."""
    file = directory / "kafka-password"
    file.write_text(PASSWORD)
    async with SimulatedKafka((LIVE, HISTORY, ROUTED, ROUTED_HISTORY), PASSWORD) as broker:
        config = TopicConfig(
            **{
                "kind": "kafka",
                "topic": LIVE,
                "history_topic": HISTORY,
                "by_organization": {ROUTED_ORGANIZATION: ROUTED},
                "history_by_organization": {ROUTED_ORGANIZATION: ROUTED_HISTORY},
                "bootstrap_servers": broker.bootstrap,
                "security_protocol": "SASL_PLAINTEXT",
                "sasl_mechanism": "PLAIN",
                "sasl_username": "relay",
                "sasl_password_file": file,
                "compression": "gzip",
            }
            | settings
        )

        def break_credential():
            broker.set_password("another-password")
            return lambda: broker.set_password(PASSWORD)

        yield Peer(
            config,
            lambda: broker.stored_uids(LIVE),
            lambda: broker.stored_uids(HISTORY),
            broker.topics[LIVE].poisons.add,
            broker.hold,
            broker.lose_answers,
            break_credential,
            _answers(broker),
            lambda route: broker.stored_uids(route or LIVE),
            retries_rows=False,
        )


def _answers(broker):
    topic = broker.topics[LIVE]

    def code(outcome, number):
        return Answer(outcome, lambda: broker.refusals.append(number), broker.refusals.clear)

    def setting(outcome, name, value):
        before = getattr(topic, name)
        return Answer(outcome, lambda: setattr(topic, name, value), lambda: setattr(topic, name, before))

    def poison(*, named):
        def play():
            topic.names_records = named
            topic.poisons.add(UID)

        return Answer(Partial, play, topic.poisons.clear)

    return {
        "0": Answer(Sent, lambda: None),
        **{f"code {each}": code(Retry, each) for each in PASSING},
        **{f"code {each}": code(Paused, each) for each in PAUSING},
        **{f"code {each}, repeated": code(Sent, each) for each in (3, 5, 6, 7, 19, 20, 56)},
        "some rejected": poison(named=True),
        "one of them rejected": poison(named=False),
        "too large": setting(Partial, "max_message_bytes", 150),
        "reset": Answer(Sent, broker.close_connections),
    }
