"""Targets of a destination: topics that it may not have, settings that do not fit together, and the identity."""

import pytest

from consumer.destinations.kafka import KAFKA
from consumer.destinations.kafka.config import TopicConfig
from consumer.destinations.outcome import Paused, Sent
from relay.config.kafka import KafkaConfig
from relay.errors import RelayError
from simulators.kafka.broker import SimulatedKafka
from tests.contracts.destination_case import body_of, uids
from tests.support.messages import event


def events(*numbers):
    return [event(number) for number in numbers]


def own(bootstrap, prefix="jira-audit"):
    return KafkaConfig(bootstrap=bootstrap, topic_prefix=prefix)


@pytest.mark.parametrize("name", ["jira-audit.events", "jira-audit.backfill", "jira-audit.status"])
@pytest.mark.parametrize("servers", [None, "kafka-2:9092,kafka-9:9092"])
async def test_a_topic_of_the_relay_is_refused_at_the_start(name, servers):
    """Events would come back without end, or the relay's state would be overwritten."""
    config = TopicConfig(kind="kafka", topic=name, bootstrap_servers=servers)
    with pytest.raises(RelayError, match=r"one of the relay's own.*Choose another topic"):
        async with KAFKA.open_beside("soc", config, own("kafka-1:9092,kafka-2:9092")):
            pass


async def test_a_topic_of_the_relay_is_refused_under_another_name_of_its_cluster():
    """Names of brokers prove nothing: the ids of the clusters are compared before the first record."""
    topic = "jira-audit.events"
    async with SimulatedKafka((topic,)) as broker, SimulatedKafka((topic,)) as another:
        config = TopicConfig(
            kind="kafka", topic=topic, bootstrap_servers=broker.bootstrap, compression="none"
        )
        same = own(broker.bootstrap.replace("127.0.0.1", "localhost"))
        async with KAFKA.open_beside("soc", config, same) as flows:
            for outcome in (
                await flows["live"].probe(),
                await flows["live"].send(body_of(flows["live"], events(1))),
            ):
                assert isinstance(outcome, Paused)
                assert "one of the relay's own" in outcome.reason
        assert broker.stored(topic) == []
        async with KAFKA.open_beside("soc", config, own(another.bootstrap)) as flows:
            assert await flows["live"].send(body_of(flows["live"], events(1))) == Sent()


async def test_without_brokers_of_its_own_a_destination_uses_the_relays_cluster():
    async with SimulatedKafka(("jira",)) as broker:
        config = TopicConfig(kind="kafka", topic="jira", compression="none")
        async with KAFKA.open_beside("soc", config, own(broker.bootstrap)) as flows:
            assert await flows["live"].send(body_of(flows["live"], events(1))) == Sent()
            assert "the relay's own cluster" in flows["live"].address
        assert broker.stored_uids("jira") == uids([1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "has no bootstrap_servers"),
        ({"bootstrap_servers": "k:9092", "sasl_mechanism": "PLAIN"}, r"destinations\.soc\.sasl_… is set"),
        (
            {"bootstrap_servers": "k:9092", "security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN"},
            r"needs destinations\.soc\.sasl_username",
        ),
        (
            {"bootstrap_servers": "k:9092", "sasl_password": "x", "sasl_password_file": "/tmp/x"},
            "are both set",
        ),
        (
            {"bootstrap_servers": "k:9092", "sasl_password_file": "/absent"},
            "sasl_password_file cannot be read",
        ),
        (
            {"bootstrap_servers": "k:9092", "ca_file": "/absent"},
            r"destinations\.soc\.ca_file must be the path",
        ),
        (
            {"bootstrap_servers": "k:9092", "certificate_file": "/absent"},
            r"destinations\.soc\.certificate_file must be the path",
        ),
        (
            {"bootstrap_servers": "k:9092", "oauth_ca_file": "/absent"},
            r"destinations\.soc\.oauth_ca_file must be the path",
        ),
        (
            {"bootstrap_servers": "k:9092", "profile": "event-hubs", "max_record_bytes": 1_000_001},
            r"destinations\.soc\.max_record_bytes is 1000001.*at most 1000000",
        ),
    ],
)
async def test_settings_that_do_not_fit_together_are_refused_at_the_start(settings, message):
    """The message names the setting of the destination, and shows no secret."""
    config = TopicConfig(kind="kafka", topic="jira", **settings)
    with pytest.raises(RelayError, match=message):
        async with KAFKA.open("soc", config, 1.0):
            pass


async def test_the_relays_own_event_hubs_has_the_same_limit():
    config = TopicConfig(kind="kafka", topic="jira", max_record_bytes=1_000_001)
    hubs = KafkaConfig(bootstrap="hub:9093", profile="event-hubs")
    with pytest.raises(RelayError, match="at most 1000000"):
        async with KAFKA.open_beside("soc", config, hubs):
            pass


@pytest.mark.parametrize("fault", ["scope", "certificate"])
async def test_a_fault_that_only_a_connection_shows_names_the_setting_of_the_destination(fault, tmp_path):
    """The group kafka has settings of the same names, for another cluster."""
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    settings = {
        "scope": {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "OAUTHBEARER",
            "oauth_credential": "default",
        },
        "certificate": {"security_protocol": "SSL", "ca_file": file},
    }
    config = TopicConfig(kind="kafka", topic="jira", bootstrap_servers="k:9092", **settings[fault])
    async with KAFKA.open("soc", config, 5.0) as flows:
        for outcome in (
            await flows["live"].probe(),
            await flows["live"].send(body_of(flows["live"], events(1))),
        ):
            assert isinstance(outcome, Paused)
            name = {"scope": "oauth_scope", "certificate": "ca_file"}[fault]
            assert f"destinations.soc.{name}" in outcome.reason
            assert " kafka." not in outcome.reason


async def test_a_login_without_brokers_of_its_own_is_refused():
    """It would be ignored in silence."""
    config = TopicConfig(kind="kafka", topic="jira", sasl_username="relay")
    with pytest.raises(RelayError, match="sasl_username is set without bootstrap_servers"):
        async with KAFKA.open_beside("soc", config, own("kafka-1:9092")):
            pass


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"topic": "a b"}, "249 letters"),
        ({"topic": ".."}, "249 letters"),
        ({"topic": "__consumer_offsets"}, "two underscores"),
        ({"topic": "a", "history_topic": "a"}, "both new events and history"),
        ({"topic": "a", "history_by_organization": {"acme.atlassian.net": "b"}}, "without history_topic"),
        (
            {"topic": "a", "history_topic": "b", "by_organization": {"acme.atlassian.net": "c"}},
            "name its topic in history_by_organization",
        ),
    ],
)
def test_topics_that_cannot_work_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TopicConfig(kind="kafka", **settings)


def test_the_identity_is_that_of_the_named_cluster():
    """With a name, other brokers are the same target; history has topics of its own."""
    config = TopicConfig(
        kind="kafka", topic="a", history_topic="b", bootstrap_servers="k:9092", cluster="data"
    )
    moved = config.model_copy(update={"bootstrap_servers": "q:9092"})
    assert KAFKA.identity(config) == KAFKA.identity(moved)
    assert KAFKA.identity(config)["history"] == {"cluster": "data", "topic": "b"}
    assert KAFKA.identity(config.model_copy(update={"cluster": None}))["live"]["cluster"] == "k:9092"
