from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from relay.config import validators as values
from relay.config.base import AzureCredential, ConfigModel, Count, ExistingFile, Seconds, SecretUrl
from relay.config.kafka_security import check_kafka_security, check_oauth


class KafkaConfig(ConfigModel):
    """The Kafka cluster between producers and consumers."""

    bootstrap: Annotated[str, AfterValidator(values.normalize_bootstrap)] | None = Field(
        default=None,
        description="Brokers to begin with. Not set: `jira-relay up` runs an embedded Kafka, the other commands refuse.",
        examples=["kafka-1:9092,kafka-2:9092"],
    )
    profile: Literal["kafka", "event-hubs"] = Field(
        default="kafka",
        description="What the cluster can do: `kafka` has transactions, `event-hubs` has none (delivery into it is at least once).",
        examples=["event-hubs"],
    )
    topic_prefix: Annotated[str, AfterValidator(values.require_topic_prefix)] = Field(
        default="jira-audit",
        description="First part of the name of every topic, consumer group and transactional id.",
        examples=["security.jira-audit"],
    )
    shards: Count = Field(
        default=16,
        ge=1,
        le=1000,
        description="Partitions of the topics that are keyed by organization, when they are made; afterwards the topics' own count holds.",
        examples=[32],
    )
    replication_factor: Count = Field(
        default=3, ge=1, le=100, description="Copies of each partition, when topics are made.", examples=[1]
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT",
        description="How the brokers are spoken to; passwords and tokens go over TLS only, or to this machine.",
        examples=["SASL_SSL"],
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        default=None,
        description="How we log in, with a SASL protocol; `OAUTHBEARER` needs `oauth_token_url` or `oauth_credential`.",
        examples=["SCRAM-SHA-512"],
    )
    sasl_username: str | None = Field(
        default=None,
        description="User name at the brokers; for Event Hubs `$ConnectionString`.",
        examples=["jira-relay"],
    )
    sasl_password: SecretStr | None = Field(
        default=None,
        description="Password at the brokers; for Event Hubs the connection string. Read at the start: a changed one is for a restart.",
        examples=["…"],
    )
    oauth_token_url: SecretUrl | None = Field(
        default=None,
        description="With `OAUTHBEARER`: where tokens are given out (OAuth 2.0, client credentials).",
        examples=["https://login.example.com/realms/kafka/protocol/openid-connect/token"],
    )
    oauth_client_id: str | None = Field(
        default=None, description="Who we are at `oauth_token_url`.", examples=["jira-relay"]
    )
    oauth_client_secret: SecretStr | None = Field(
        default=None, description="Our secret at `oauth_token_url`.", examples=["…"]
    )
    oauth_scope: str | None = Field(
        default=None,
        description="What tokens are asked for. Not set: nothing in particular; with `oauth_credential` the namespace in `bootstrap`.",
        examples=["kafka"],
    )
    oauth_ca_file: ExistingFile | None = Field(
        default=None,
        description="Certificates (PEM) that the one of `oauth_token_url` is checked against. Not set: the system's.",
        examples=["/etc/relay/ca.pem"],
    )
    oauth_credential: AzureCredential | None = Field(
        default=None,
        description="With `OAUTHBEARER`, in place of `oauth_token_url`: which of azure-identity's credentials gives tokens (Event Hubs); its own variables (AZURE_…, IDENTITY_…) apply.",
        examples=["managed-identity"],
    )
    ca_file: ExistingFile | None = Field(
        default=None,
        description="Certificates (PEM) that the brokers' own is checked against. Not set: the system's.",
        examples=["/etc/relay/ca.pem"],
    )
    certificate_file: ExistingFile | None = Field(
        default=None,
        description="Our certificate (PEM), where the brokers ask for one.",
        examples=["/etc/relay/client.pem"],
    )
    key_file: ExistingFile | None = Field(
        default=None,
        description="The private key (PEM) of our certificate.",
        examples=["/etc/relay/client.key"],
    )
    group_session_timeout_seconds: Seconds = Field(
        default=10,
        ge=6,
        le=1800,
        description="How long a process may be silent before others take its work over.",
        examples=[45],
    )

    @model_validator(mode="after")
    def _check_security(self) -> Self:
        check_kafka_security(
            brokers=self.bootstrap,
            protocol=self.security_protocol,
            mechanism=self.sasl_mechanism,
            login=(self.sasl_username, self.sasl_password),
            files={name: getattr(self, name) for name in ("ca_file", "certificate_file", "key_file")},
        )
        check_oauth(
            mechanism=self.sasl_mechanism,
            client=(self.oauth_token_url, self.oauth_client_id, self.oauth_client_secret),
            credential=self.oauth_credential,
            others={name: getattr(self, name) for name in ("oauth_scope", "oauth_ca_file")},
        )
        return self
