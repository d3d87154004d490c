"""Settings of the destination kind kafka."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PrivateAttr, SecretStr, model_validator

from consumer.config import DestinationSettings
from consumer.destinations.contract import Flow
from relay.config import validators as values
from relay.config.base import AzureCredential, Count, ExpandedPath, OrganizationName, SecretUrl
from relay.config.kafka import KafkaConfig

Format = Literal["native", "ecs", "ocsf"]
EVENT_HUBS_RECORD_BYTES = 1_000_000
"""Event Hubs ends the connection of a request above 1,046,528 bytes; a request has key, headers and framing too."""
_TOPIC = re.compile(r"(?!\.{1,2}$|__)[A-Za-z0-9._-]{1,249}")


def _topic_name(name: str) -> str:
    """Check the name of a topic. Source: org.apache.kafka.common.internals.Topic; two underscores begin Kafka's own names."""
    if not _TOPIC.fullmatch(name):
        raise ValueError(
            "must be at most 249 letters, digits, dots, hyphens and underscores, and must not begin with two underscores"
        )
    return name


TopicName = Annotated[str, AfterValidator(_topic_name)]


class TopicConfig(DestinationSettings):
    """Topics of a Kafka cluster, under a name of your choice: small letters, digits and underscores."""

    kind: Literal["kafka"] = Field(
        description="Kind of the destination. Not set: its name is its kind.", examples=["kafka"]
    )
    topic: TopicName = Field(
        description="Topic that receives new events. The relay creates no topic here.",
        examples=["jira-audit-json"],
    )
    history_topic: TopicName | None = Field(
        default=None,
        description="Topic that receives backfill and replay. Not set: history is not sent.",
        examples=["jira-audit-json-history"],
    )
    by_organization: dict[OrganizationName, TopicName] = Field(
        default={},
        description="Topic of the new events of an organization; other organizations have `topic`.",
        examples=[{"acme.atlassian.net": "jira-audit-json-acme"}],
    )
    history_by_organization: dict[OrganizationName, TopicName] = Field(
        default={},
        description="The same for backfill and replay. With `history_topic`, it names each organization of `by_organization`.",
        examples=[{"acme.atlassian.net": "jira-audit-json-acme-history"}],
    )
    format: Format = Field(
        default="native",
        description="Value of a record, in JSON: `native` has Jira's own names, `ecs` is the Elastic Common Schema, `ocsf` is the "
        "Open Cybersecurity Schema Framework 1.3.0, class 3004.",
        examples=["ecs"],
    )
    cloudevents: bool = Field(
        default=False,
        description="Whether a record has the headers of CloudEvents 1.0 (binary content mode) beside `relay.uid`.",
        examples=[True],
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        default="zstd",
        description="Compression of record batches. `zstd` needs brokers and readers of Kafka 2.1 or newer; `lz4` costs three times as much CPU time.",
        examples=["lz4"],
    )
    max_record_bytes: Count = Field(
        default=1_000_000,
        ge=10_000,
        le=10_000_000,
        description="Largest record before compression, in bytes; a longer event is truncated with a mark. The topic's "
        "`max.message.bytes` must be above it.",
        examples=[5_000_000],
    )
    bootstrap_servers: Annotated[str, AfterValidator(values.normalize_bootstrap)] | None = Field(
        default=None,
        description="Brokers of the cluster. Not set: the relay's own cluster, with the connection of the group `kafka`.",
        examples=["kafka-1.example.com:9093,kafka-2.example.com:9093"],
    )
    cluster: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Name of the cluster: with it, other `bootstrap_servers` are the same target. Not set: they are another target, "
        "and wait for `jira-relay destinations confirm`.",
        examples=["data-platform"],
    )
    profile: Literal["kafka", "event-hubs"] = Field(
        default="kafka",
        description="Features of the cluster: `event-hubs` has no idempotence, so a lost answer may repeat events.",
        examples=["kafka"],
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT",
        description="Security protocol for broker connections. Passwords and tokens are sent over TLS only, except to localhost.",
        examples=["SASL_SSL"],
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        default=None, description="Login method for a SASL protocol.", examples=["SCRAM-SHA-512"]
    )
    sasl_username: str | None = Field(
        default=None, description="User name for the brokers.", examples=["jira-relay"]
    )
    sasl_password: SecretStr | None = Field(
        default=None, description="Password for the brokers.", examples=["…"]
    )
    sasl_password_file: ExpandedPath | None = Field(
        default=None,
        description="File with the password. It is read again for each new connection to the cluster.",
        examples=["/run/secrets/kafka-password"],
    )
    oauth_token_url: SecretUrl | None = Field(
        default=None,
        description="With `OAUTHBEARER`: token endpoint of the authorization server (OAuth 2.0, client credentials).",
        examples=["https://login.example.com/realms/kafka/protocol/openid-connect/token"],
    )
    oauth_client_id: str | None = Field(
        default=None, description="Client id for `oauth_token_url`.", examples=["jira-relay"]
    )
    oauth_client_secret: SecretStr | None = Field(
        default=None, description="Client secret for `oauth_token_url`.", examples=["…"]
    )
    oauth_client_secret_file: ExpandedPath | None = Field(
        default=None,
        description="File with the client secret. It is read again for each new connection to the cluster.",
        examples=["/run/secrets/kafka-client-secret"],
    )
    oauth_scope: str | None = Field(
        default=None, description="Scope of the requested tokens. Not set: no scope.", examples=["kafka"]
    )
    oauth_ca_file: ExpandedPath | None = Field(
        default=None,
        description="CA certificates (PEM) to verify the server of `oauth_token_url`. Not set: the system's.",
        examples=["/etc/relay/ca.pem"],
    )
    oauth_credential: AzureCredential | None = Field(
        default=None,
        description="With `OAUTHBEARER`, instead of `oauth_token_url`: the azure-identity credential that provides tokens (Event Hubs).",
        examples=["managed-identity"],
    )
    ca_file: ExpandedPath | None = Field(
        default=None,
        description="CA certificates (PEM) to verify the brokers. Not set: the system's.",
        examples=["/etc/relay/ca.pem"],
    )
    certificate_file: ExpandedPath | None = Field(
        default=None,
        description="Client certificate (PEM), if the brokers require one. It is read again for each new connection to the cluster.",
        examples=["/etc/relay/client.pem"],
    )
    key_file: ExpandedPath | None = Field(
        default=None,
        description="Private key (PEM) of `certificate_file`.",
        examples=["/etc/relay/client.key"],
    )

    _own: KafkaConfig | None = PrivateAttr(default=None)

    def beside(self, own: KafkaConfig) -> Self:
        """Return these settings with the relay's own cluster, which they fall back to, and whose topics they may not name."""
        found = self.model_copy()
        found._own = own  # noqa: SLF001 - of the copy
        return found

    @property
    def own(self) -> KafkaConfig | None:
        """The relay's own cluster; None: it is not known."""
        return self._own

    @model_validator(mode="after")
    def _check_topics(self) -> Self:
        if self.history_topic is None and self.history_by_organization:
            raise ValueError("A destination has history_by_organization without history_topic: set both")
        missing = self.by_organization.keys() - self.history_by_organization.keys()
        if self.history_topic is not None and missing:
            raise ValueError(
                f"The history of {min(missing)} would go to history_topic with that of others: name its topic in"
                " history_by_organization"
            )
        live, history = set(topics_of(self, "live")), set(topics_of(self, "history"))
        if live & history:
            raise ValueError(
                f"The topic {min(live & history)} has both new events and history: history would raise alarms; use another topic"
            )
        return self


def topics_of(config: TopicConfig, flow: Flow) -> tuple[str, ...]:
    """Return the topics of a flow, the one of all other organizations first; none if history is not sent."""
    topic, routes = {
        "live": (config.topic, config.by_organization),
        "history": (config.history_topic, config.history_by_organization),
    }[flow]
    return () if topic is None else tuple(dict.fromkeys((topic, *routes.values())))


def cluster_name(config: TopicConfig) -> str:
    """Return the name of the cluster in messages, and in the identity of its targets."""
    return config.cluster or config.bootstrap_servers or "the relay's own cluster"


def identity(config: TopicConfig) -> dict[Flow, dict[str, str]]:
    """Return the cluster and the topics of each flow."""
    found: dict[Flow, dict[str, str]] = {"live": _place(config, config.topic, config.by_organization)}
    if config.history_topic is not None:
        found["history"] = _place(config, config.history_topic, config.history_by_organization)
    return found


def _place(config: TopicConfig, topic: str, routes: Mapping[str, str]) -> dict[str, str]:
    by_organization = {f"topic of {name}": routes[name] for name in sorted(routes)}
    return {"cluster": cluster_name(config), "topic": topic, **by_organization}
