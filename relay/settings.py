"""Every setting, with the sentence that docs/settings.md shows for it.

A value comes from the environment (`RELAY_<GROUP>__<NAME>`), else from a TOML file, else from here.
"""

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from relay import settings_sources
from relay import settings_values as values

Count = Annotated[int, BeforeValidator(values.number)]
Seconds = Annotated[float, BeforeValidator(values.number)]
Folder = Annotated[Path, AfterValidator(values.expanded)]
File = Annotated[Path, AfterValidator(values.existing)]
Listen = Annotated[str, AfterValidator(values.listen)]
Site = Annotated[str, AfterValidator(values.site)]
Url = Annotated[str, AfterValidator(values.url)]
SecretUrl = Annotated[str, AfterValidator(values.secret_url)]
AzureCredential = Literal["default", "managed-identity", "workload-identity", "client-secret", "azure-cli"]
Start = Annotated[Literal["earliest", "latest"] | datetime, BeforeValidator(values.start)]


class Group(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False, validate_default=True
    )


class Kafka(Group):
    """The Kafka cluster between producers and consumers."""

    bootstrap: Annotated[str, AfterValidator(values.bootstrap)] | None = Field(
        default=None,
        description="Brokers to begin with. Not set: `jira-relay up` runs an embedded Kafka, the other commands refuse.",
        examples=["kafka-1:9092,kafka-2:9092"],
    )
    profile: Literal["kafka", "event-hubs"] = Field(
        default="kafka",
        description="What the cluster can do: `kafka` has transactions, `event-hubs` has none (delivery into it is at least once).",
        examples=["event-hubs"],
    )
    topic_prefix: Annotated[str, AfterValidator(values.topic_prefix)] = Field(
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
    oauth_ca_file: File | None = Field(
        default=None,
        description="Certificates (PEM) that the one of `oauth_token_url` is checked against. Not set: the system's.",
        examples=["/etc/relay/ca.pem"],
    )
    oauth_credential: AzureCredential | None = Field(
        default=None,
        description="With `OAUTHBEARER`, in place of `oauth_token_url`: which of azure-identity's credentials gives tokens (Event Hubs); its own variables (AZURE_…, IDENTITY_…) apply.",
        examples=["managed-identity"],
    )
    ca_file: File | None = Field(
        default=None,
        description="Certificates (PEM) that the brokers' own is checked against. Not set: the system's.",
        examples=["/etc/relay/ca.pem"],
    )
    certificate_file: File | None = Field(
        default=None,
        description="Our certificate (PEM), where the brokers ask for one.",
        examples=["/etc/relay/client.pem"],
    )
    key_file: File | None = Field(
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
    def _security_agrees(self) -> Self:
        values.check_kafka_security(
            brokers=self.bootstrap,
            protocol=self.security_protocol,
            mechanism=self.sasl_mechanism,
            login=(self.sasl_username, self.sasl_password),
            files={name: getattr(self, name) for name in ("ca_file", "certificate_file", "key_file")},
        )
        values.check_oauth(
            mechanism=self.sasl_mechanism,
            client=(self.oauth_token_url, self.oauth_client_id, self.oauth_client_secret),
            credential=self.oauth_credential,
            others={name: getattr(self, name) for name in ("oauth_scope", "oauth_ca_file")},
        )
        return self


class SchemaRegistry(Group):
    """The schema registry of the event topics (Confluent's API). Without one: Avro single-object encoding."""

    url: Url | None = Field(
        default=None,
        description="Where the registry answers.",
        examples=["https://registry:8081/apis/ccompat/v7"],
    )
    username: str | None = Field(
        default=None, description="User name at the registry.", examples=["jira-relay"]
    )
    password: SecretStr | None = Field(default=None, description="Password at the registry.", examples=["…"])
    ca_file: File | None = Field(
        default=None,
        description="Certificates (PEM) that the registry's own is checked against. Not set: the system's.",
        examples=["/etc/relay/ca.pem"],
    )
    auto_register: bool = Field(
        default=False,
        description="Whether a producer registers a missing schema itself; else that is done once by `jira-relay schemas register`.",
        examples=[True],
    )
    cache_directory: Folder = Field(
        default=Path("~/.cache/jira-audit-relay/schemas"),
        description="Where the registry's answers are kept, so that work goes on while it is away.",
        examples=["/var/cache/jira-relay"],
    )

    @model_validator(mode="after")
    def _password_is_safe(self) -> Self:
        values.check_registry(self.url, self.username, self.password)
        return self


class Producer(Group):
    """Polling Jira."""

    interval_seconds: Seconds = Field(
        default=60,
        ge=1,
        le=86_400,
        description="Time between two rounds of an organization that has no interval of its own.",
        examples=[30],
    )
    settle_seconds: Seconds = Field(
        default=2,
        ge=0,
        le=300,
        description="Age a record must have before a round asks for it, so that records written at the same moment are seen together.",
        examples=[5],
    )
    overlap_seconds: Seconds = Field(
        default=900,
        ge=1,
        le=86_400,
        description="How far each round reads back, to find records that became visible late; for an organization with more records in it than one page holds as far as fits, but a minute at least. What came later is found when the day or the week is read again.",
        examples=[1800],
    )
    reread_day_every_seconds: Seconds = Field(
        default=3600,
        ge=1,
        le=86_400,
        description="How often the last 24 hours are read again.",
        examples=[1800],
    )
    reread_week_every_seconds: Seconds = Field(
        default=86_400,
        ge=1,
        le=604_800,
        description="How often the last `late_days` days are read again.",
        examples=[43_200],
    )
    late_days: Count = Field(
        default=7,
        ge=1,
        le=30,
        description="How many days late a record may become visible and still be found.",
        examples=[14],
    )
    gateway_url: Site = Field(
        default="https://api.atlassian.com",
        description="Atlassian's gateway, which scoped tokens and service accounts go through.",
        examples=["https://api.atlassian.com"],
    )
    allowed_hosts: tuple[Annotated[str, AfterValidator(values.allowed_host)], ...] = Field(
        default=(),
        description="Hosts (or host:port) that keys may be sent to, beside `*.atlassian.net`, the gateway and this machine.",
        examples=[["jira.example.com"]],
    )


class Consumer(Group):
    """What holds for every destination."""

    start: Start = Field(
        default="earliest",
        description="Where a destination begins at its first start: `earliest`, `latest`, or a time.",
        examples=["2026-11-01T00:00:00Z"],
    )
    linger_seconds: Seconds = Field(
        default=1.0,
        ge=0,
        le=60,
        description="How long an event may wait for others to be sent with.",
        examples=[0.5],
    )


class Destination(Group):
    """A destination, under a name of your choice: small letters, digits and underscores."""

    kind: Literal["sentinel"] = Field(
        description="What it is. Not set: what its name says.", examples=["sentinel"]
    )
    endpoint: Site = Field(
        description="Where logs are sent: the rule's own logs ingestion endpoint, or that of a data collection endpoint.",
        examples=["https://relay-a1b2.westeurope-1.ingest.monitor.azure.com"],
    )
    rule_id: Annotated[str, AfterValidator(values.rule_id)] = Field(
        description="Immutable id of the data collection rule.",
        examples=["dcr-0123456789abcdef0123456789abcdef"],
    )
    stream: Annotated[str, AfterValidator(values.stream)] = Field(
        default="Custom-JiraAuditRelay",
        description="The rule's stream for new events.",
        examples=["Custom-JiraAuditRelay"],
    )
    history_stream: Annotated[str, AfterValidator(values.stream)] = Field(
        default="Custom-JiraAuditRelayHistory",
        description="The rule's stream for backfill and replays, kept apart so that they raise no alarms.",
        examples=["Custom-JiraAuditRelay"],
    )
    cloud: Literal["public", "usgov", "china"] = Field(
        default="public", description="The Azure cloud it stands in.", examples=["usgov"]
    )
    credential: AzureCredential = Field(
        default="default",
        description="Which of azure-identity's credentials is used; its own variables (AZURE_…, IDENTITY_…) apply.",
        examples=["managed-identity"],
    )
    start: Start | None = Field(
        default=None,
        description="Where it begins at its first start. Not set: as `consumer.start` says.",
        examples=["latest"],
    )

    @model_validator(mode="after")
    def _cloud_agrees(self) -> Self:
        values.check_cloud(self.endpoint, self.cloud)
        return self


_KINDS = get_args(Destination.model_fields["kind"].annotation)


class Console(Group):
    """The management page."""

    listen: Listen = Field(
        default="127.0.0.1:8080", description="Address and port of the page.", examples=["0.0.0.0:8080"]
    )
    token: SecretStr | None = Field(
        default=None, description="What a visitor must show to be let in.", examples=["…"]
    )
    public_url: Url | None = Field(
        default=None,
        description="The page's address as its visitors know it.",
        examples=["https://relay.example.com"],
    )


class Secrets(Group):
    """What protects the organizations' keys."""

    keys: tuple[SecretStr, ...] = Field(
        default=(),
        description="Keys that encrypt the organizations' API keys, each base64 of 32 random bytes (`openssl rand -base64 32`). The first encrypts, all decrypt: how to rotate them is in [operations](operations/keys.md).",
        examples=[["…"]],
    )
    key_file: File | None = Field(
        default=None,
        description="A file with such keys instead, one a line. With embedded Kafka and neither of the two, one is made in `embedded.data_dir`.",
        examples=["/run/secrets/relay-keys"],
    )
    directory: Folder | None = Field(
        default=None,
        description="The directory that references of the form `file:NAME` are read from.",
        examples=["/run/secrets/jira"],
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.keys and self.key_file:
            raise ValueError("secrets.keys and secrets.key_file are both set: keep one of them")
        return self


class Telemetry(Group):
    """Logs, metrics and health."""

    listen: Listen = Field(
        default="127.0.0.1:9464",
        description="Address and port of `/healthz`, `/readyz` and `/metrics`.",
        examples=["0.0.0.0:9464"],
    )
    log_format: Literal["json", "text", "auto"] = Field(
        default="auto",
        description="How log lines look; `auto` is text on a terminal and JSON elsewhere.",
        examples=["json"],
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe lines that are written.", examples=["warning"]
    )


class Embedded(Group):
    """The Kafka of those who have none."""

    data_dir: Folder = Field(
        default=Path("~/.local/share/jira-audit-relay"),
        description="Where its data lives; it needs to survive a restart.",
        examples=["/var/lib/jira-relay"],
    )
    port: Count = Field(
        default=9092, ge=1, le=65_535, description="Its port on this machine.", examples=[19_092]
    )
    maven_repository: Url | None = Field(
        default=None,
        description="Where its files are fetched from. Not set: Maven Central.",
        examples=["https://maven.example.com/central"],
    )


class Settings(Group):
    kafka: Kafka = Kafka()
    schema_registry: SchemaRegistry = SchemaRegistry()
    producer: Producer = Producer()
    consumer: Consumer = Consumer()
    destinations: dict[Annotated[str, AfterValidator(values.destination_name)], Destination] = {}
    console: Console = Console()
    secrets: Secrets = Secrets()
    telemetry: Telemetry = Telemetry()
    embedded: Embedded = Embedded()

    @model_validator(mode="before")
    @classmethod
    def _kind_is_the_name(cls, given: Any) -> Any:
        destinations = given.get("destinations") if isinstance(given, dict) else None
        if not isinstance(destinations, dict):
            return given
        named = {
            name: {"kind": name} | fields if name in _KINDS and isinstance(fields, dict) else fields
            for name, fields in destinations.items()
        }
        return given | {"destinations": named}


def load(config: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process: of the environment, else of the file, else the defaults.

    The file is `config`, or relay.toml in the working directory if there is one. Raises SettingsError, with a sentence for
    each fault; no sentence holds a secret.
    """
    given = settings_sources.read(Settings, config, os.environ if environ is None else environ)
    try:
        return Settings.model_validate(given.nested())
    except ValidationError as error:
        raise given.explain(error) from None
