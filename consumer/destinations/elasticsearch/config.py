"""Settings of the destination kind elasticsearch."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from consumer.destinations.certificate_settings import CertificateSettings
from consumer.destinations.contract import Flow
from consumer.destinations.read_back import ReadBackSettings
from consumer.formats.source_labels import ELASTICSEARCH_HISTORY_INDEX, ELASTICSEARCH_INDEX
from relay.config.base import Count, ExpandedPath, OrganizationName, OriginUrl

Layout = Literal["data-stream", "monthly"]
Format = Literal["ecs", "native", "ocsf"]

NO_HISTORY = "off"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}")


def _index_name(name: str) -> str:
    """Check the name of a data stream, or the beginning of the names of indices.

    Source: Elasticsearch, "Create index", path parameters; shorter than its 255 bytes, since a month is added.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            "must be small letters, digits, dots, hyphens and underscores, begin with a letter or digit, and have at most 200"
            " characters"
        )
    return name


IndexName = Annotated[str, AfterValidator(_index_name)]


class ElasticsearchConfig(CertificateSettings, ReadBackSettings):
    """A cluster of Elasticsearch or OpenSearch, under a name of your choice: small letters, digits and underscores."""

    kind: Literal["elasticsearch"] = Field(
        description="Kind of the destination. Not set: its name is its kind.", examples=["elasticsearch"]
    )
    endpoint: OriginUrl = Field(
        description="URL of the cluster: https, host and port; Elastic Cloud calls it the Elasticsearch endpoint.",
        examples=["https://elastic.example.com:9200"],
    )
    index: IndexName = Field(
        default=ELASTICSEARCH_INDEX,
        description="Data stream that receives new events; with the layout `monthly` the beginning of the names of indices.",
        examples=[ELASTICSEARCH_INDEX],
    )
    layout: Layout = Field(
        default="data-stream",
        description="Where new events go: to the `data-stream` named `index`, or to an index for each month of an event's time "
        "(`monthly`), where a repeat never makes a second document.",
        examples=["monthly"],
    )
    history_index: IndexName = Field(
        default=ELASTICSEARCH_HISTORY_INDEX,
        description="Beginning of the names of the indices that receive backfill and replay, one for each month. `off`: history is "
        "not sent.",
        examples=[ELASTICSEARCH_HISTORY_INDEX],
    )
    by_organization: dict[OrganizationName, IndexName] = Field(
        default={},
        description="Organizations with an `index` of their own; their history goes to indices that begin with `history_index` and "
        "that name.",
        examples=[{"acme.atlassian.net": "logs-atlassian_jira.audit-acme"}],
    )
    format: Format = Field(
        default="ecs",
        description="Fields of a document: `ecs` is the Elastic Common Schema as Elastic's integration for Atlassian Jira fills it, "
        "`native` has Jira's own names, `ocsf` is the Open Cybersecurity Schema Framework 1.3.0, class 3004.",
        examples=["native"],
    )
    pipeline: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,200}$")] = Field(
        default="_none",
        description="Ingest pipeline for the documents. `_none` also switches the default pipeline of an index off.",
        examples=["jira-geoip"],
    )
    api_key: SecretStr | None = Field(
        default=None,
        description="API key, as Elasticsearch shows it encoded, or as `id:key`.",
        examples=["VnVhQ2ZHY0JDZGJrU…"],
    )
    api_key_file: ExpandedPath | None = Field(
        default=None,
        description="File with the API key. It is read again after a 401 or 403.",
        examples=["/run/secrets/elastic-api-key"],
    )
    username: str | None = Field(
        default=None,
        description="User for basic authentication, in place of an API key.",
        examples=["jira-relay"],
    )
    password: SecretStr | None = Field(default=None, description="Password of `username`.", examples=["…"])
    password_file: ExpandedPath | None = Field(
        default=None,
        description="File with the password. It is read again after a 401 or 403.",
        examples=["/run/secrets/elastic-password"],
    )
    read_back_api_key: SecretStr | None = Field(
        default=None,
        description="API key for reading back, with the right to read alone. Not set: the credential for writing.",
        examples=["VnVhQ2ZHY0JDZGJrU…"],
    )
    read_back_api_key_file: ExpandedPath | None = Field(
        default=None,
        description="File with the API key for reading back.",
        examples=["/run/secrets/elastic-read-key"],
    )
    read_back_username: str | None = Field(
        default=None,
        description="User for reading back, in place of an API key.",
        examples=["jira-relay-reader"],
    )
    read_back_password: SecretStr | None = Field(
        default=None, description="Password of `read_back_username`.", examples=["…"]
    )
    read_back_password_file: ExpandedPath | None = Field(
        default=None,
        description="File with the password of `read_back_username`.",
        examples=["/run/secrets/elastic-read-password"],
    )
    compression: Literal["none", "gzip"] = Field(
        default="gzip", description="Compression of bodies: `gzip`, or `none`.", examples=["none"]
    )
    max_body_bytes: Count = Field(
        default=5_000_000,
        ge=100_000,
        le=50_000_000,
        description="Largest body before compression, in bytes. The cluster's `http.max_content_length` must be above it.",
        examples=[1_000_000],
    )
    max_events: Count = Field(
        default=5_000, ge=1, le=10_000, description="Most events in a request.", examples=[1_000]
    )
    max_requests: Count = Field(default=4, ge=1, le=64, description="Most requests at a time.", examples=[2])

    @model_validator(mode="after")
    def _check_targets(self) -> Self:
        if self.history_index in {self.index, *self.by_organization.values()}:
            raise ValueError(
                "A destination has history_index as an index of new events too: history would raise alarms; use another name"
            )
        return self


def history_routes(config: ElasticsearchConfig) -> dict[str, str]:
    """Return the beginning of the names of history indices by organization, so that two organizations never meet there."""
    return {name: f"{config.history_index}-{index}" for name, index in config.by_organization.items()}


def identity(config: ElasticsearchConfig) -> dict[Flow, dict[str, str]]:
    """Return the cluster and the targets of each flow: where documents go, with any credential."""
    live = {"index": config.index, "layout": config.layout, **_routes("index", config.by_organization)}
    found: dict[Flow, dict[str, str]] = {"live": {"endpoint": config.endpoint} | live}
    if config.history_index != NO_HISTORY:
        history = {
            "history index": config.history_index,
            **_routes("history index", history_routes(config)),
        }
        found["history"] = {"endpoint": config.endpoint} | history
    return found


def _routes(name: str, routes: Mapping[str, str]) -> dict[str, str]:
    return {f"{name} of {organization}": index for organization, index in routes.items()}
