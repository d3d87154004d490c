"""Settings of the Kafka cluster."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from relay.config import validators as values
from relay.config.base import AzureCredential, ConfigModel, Count, ExistingFile, Seconds, SecretUrl
from relay.config.kafka_security import check_kafka_security, check_oauth


class KafkaConfig(ConfigModel):
    """The Kafka cluster that producers write to and consumers read from."""

    bootstrap: Annotated[str, AfterValidator(values.normalize_bootstrap)] | None = Field(
        default=None,
        description="Bootstrap brokers. Not set: `jira-relay up` runs an embedded Kafka; other commands end with an "
        "error.",
        examples=["kafka-1:9092,kafka-2:9092"],
    )
    profile: Literal["kafka", "event-hubs"] = Field(
        default="kafka",
        description="Features of the cluster: `kafka` has transactions; `event-hubs` has none, so delivery into it "
        "is at least once.",
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
        description="Partition count of the topics that are keyed by organization. Used when topics are created; "
        "later the count of the existing topics applies.",
        examples=[32],
    )
    replication_factor: Count = Field(
        default=3,
        ge=1,
        le=100,
        description="Replicas of each partition. Used when topics are created.",
        examples=[1],
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT",
        description="Security protocol for broker connections. Passwords and tokens are sent over TLS only, except "
        "to localhost.",
        examples=["SASL_SSL"],
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        default=None,
        description="Login method for a SASL protocol. `OAUTHBEARER` needs `oauth_token_url` or `oauth_credential`.",
        examples=["SCRAM-SHA-512"],
    )
    sasl_username: str | None = Field(
        default=None,
        description="User name for the brokers. Event Hubs: `$ConnectionString`.",
        examples=["jira-relay"],
    )
    sasl_password: SecretStr | None = Field(
        default=None,
        description="Password for the brokers. Event Hubs: the connection string. A changed file or store is read "
        "by the next connection.",
        examples=["…"],
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
    oauth_scope: str | None = Field(
        default=None,
        description="Scope of the requested tokens. Not set: no scope; with `oauth_credential`, the namespace in "
        "`bootstrap`.",
        examples=["kafka"],
    )
    oauth_ca_file: ExistingFile | None = Field(
        default=None,
        description="CA certificates (PEM) to verify the server of `oauth_token_url`. Not set: the system's.",
        examples=["/etc/relay/ca.pem"],
    )
    oauth_credential: AzureCredential | None = Field(
        default=None,
        description="With `OAUTHBEARER`, instead of `oauth_token_url`: the azure-identity credential that provides "
        "tokens (Event Hubs). Its own variables (AZURE_…, IDENTITY_…) apply.",
        examples=["managed-identity"],
    )
    ca_file: ExistingFile | None = Field(
        default=None,
        description="CA certificates (PEM) to verify the brokers. Not set: the system's.",
        examples=["/etc/relay/ca.pem"],
    )
    certificate_file: ExistingFile | None = Field(
        default=None,
        description="Client certificate (PEM), if the brokers require one. Changed files are read by the next connection.",
        examples=["/etc/relay/client.pem"],
    )
    key_file: ExistingFile | None = Field(
        default=None,
        description="Private key (PEM) of `certificate_file`.",
        examples=["/etc/relay/client.key"],
    )
    group_session_timeout_seconds: Seconds = Field(
        default=10,
        ge=6,
        le=1800,
        description="Session timeout of the consumer groups. After this silence, other processes take over the work "
        "of a process.",
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
