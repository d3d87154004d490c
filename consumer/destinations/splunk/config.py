"""Settings of the destination kind splunk."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from consumer.destinations.certificate_settings import CertificateSettings
from consumer.destinations.contract import Flow
from consumer.destinations.read_back import ReadBackSettings
from consumer.formats.source_labels import SPLUNK_SOURCETYPE
from relay.config.base import Count, ExpandedPath, OrganizationName, OriginUrl, Seconds

# Source: Splunk Enterprise, indexes.conf: small letters, digits, underscores and hyphens, not first, at most 80; no kvstore.
_INDEX = re.compile(r"(?!.*kvstore)[a-z0-9][a-z0-9_-]{0,79}")
_METADATA = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}")


def _index(name: str) -> str:
    if not _INDEX.fullmatch(name):
        raise ValueError(
            "must be the name of an index: small letters, digits, underscores and hyphens, beginning with a letter or a digit"
        )
    return name


def _metadata(text: str) -> str:
    if not _METADATA.fullmatch(text):
        raise ValueError("must be at most 100 letters, digits, dots, colons, slashes, hyphens or underscores")
    return text


IndexName = Annotated[str, AfterValidator(_index)]
Metadata = Annotated[str, AfterValidator(_metadata)]


Format = Literal["native", "ocsf"]


class SplunkConfig(CertificateSettings, ReadBackSettings):
    """An HTTP Event Collector of Splunk, under a name of your choice: small letters, digits and underscores."""

    kind: Literal["splunk"] = Field(
        description="Kind of the destination. Not set: its name is its kind.", examples=["splunk"]
    )
    endpoint: OriginUrl = Field(
        description="URL of the HTTP Event Collector, without a path.",
        examples=["https://http-inputs-acme.splunkcloud.com"],
    )
    token: SecretStr | None = Field(
        default=None,
        description="Token of the collector.",
        examples=["00000000-0000-0000-0000-000000000000"],
    )
    token_file: ExpandedPath | None = Field(
        default=None,
        description="File that holds the token, in place of `token`. It is read again when the token is refused.",
        examples=["/run/secrets/splunk-token"],
    )
    acknowledge: bool = Field(
        default=False,
        description="Whether offsets are committed only when the indexers acknowledge the events. The token must have indexer "
        "acknowledgement then; Splunk Cloud has none.",
        examples=[True],
    )
    acknowledge_timeout_seconds: Seconds = Field(
        default=300.0,
        ge=1,
        le=3600,
        description="After so long without an acknowledgement events are sent again.",
        examples=[600],
    )
    index: IndexName | None = Field(
        default=None,
        description="Index of new events. Not set: the default index of the token.",
        examples=["jira"],
    )
    history_index: IndexName | None = Field(
        default=None,
        description="Index of backfill and replay. Not set: history is not sent.",
        examples=["jira_history"],
    )
    by_organization: dict[OrganizationName, IndexName] = Field(
        default={},
        description="Index of the new events of an organization; other organizations have `index`.",
        examples=[{"acme.atlassian.net": "jira_acme"}],
    )
    history_by_organization: dict[OrganizationName, IndexName] = Field(
        default={},
        description="The same for backfill and replay. With `history_index`, it names each organization of `by_organization`.",
        examples=[{"acme.atlassian.net": "jira_acme_history"}],
    )
    format: Format = Field(
        default="native",
        description="Fields of an event: `native` has Jira's own names, `ocsf` is the Open Cybersecurity Schema Framework 1.3.0, "
        "class 3004; give it a `sourcetype` of its own.",
        examples=["ocsf"],
    )
    source: Metadata = Field(
        default="jira-audit-relay", description="Source of each event.", examples=["jira-audit-relay"]
    )
    sourcetype: Metadata = Field(
        default=SPLUNK_SOURCETYPE,
        description="Source type of each event. The add-on in `deploy/splunk` has this one.",
        examples=["jira:audit:log"],
    )
    read_back_endpoint: OriginUrl | None = Field(
        default=None,
        description="URL of the management port of a search head, for `read_back`.",
        examples=["https://splunk.example.com:8089"],
    )
    read_back_token: SecretStr | None = Field(
        default=None,
        description="Authentication token of a user who may search the indexes, for `read_back`; not the token of the collector.",
        examples=["eyJraWQiOiJzcGx1bmsu…"],
    )
    read_back_token_file: ExpandedPath | None = Field(
        default=None,
        description="File that holds that token. It is read again when the token is refused.",
        examples=["/run/secrets/splunk-search-token"],
    )
    max_body_bytes: Count = Field(
        default=1_000_000,
        ge=10_000,
        le=5_000_000,
        description="Largest body before compression, in bytes; a longer event is truncated with a mark.",
        examples=[5_000_000],
    )
    max_requests: Count = Field(
        default=4, ge=1, le=64, description="Most requests at a time for each index.", examples=[16]
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.token is None and self.token_file is None:
            raise ValueError(
                "A destination of the kind splunk has neither token nor token_file: set one of them"
            )
        has_token = self.read_back_token is not None or self.read_back_token_file is not None
        if self.read_back and not (self.read_back_endpoint and has_token and self.index):
            raise ValueError(
                "read_back needs read_back_endpoint, read_back_token or its file, and index: nobody tells which index a token has"
            )
        if self.history_index is None and self.history_by_organization:
            raise ValueError("A destination has history_by_organization without history_index: set both")
        missing = self.by_organization.keys() - self.history_by_organization.keys()
        if self.history_index is not None and missing:
            raise ValueError(
                f"The history of {min(missing)} would go to history_index with that of others: name its index in"
                " history_by_organization"
            )
        return self


def identity(config: SplunkConfig) -> dict[Flow, dict[str, str]]:
    """Return the collector and the indexes of each flow: where events go, with any token."""
    found: dict[Flow, dict[str, str]] = {
        "live": _place(config, config.index or "of the token", config.by_organization)
    }
    if config.history_index is None:
        return found
    return found | {"history": _place(config, config.history_index, config.history_by_organization)}


def _place(config: SplunkConfig, index: str, routes: Mapping[str, str]) -> dict[str, str]:
    by_organization = {f"index of {name}": routes[name] for name in sorted(routes)}
    return {"endpoint": config.endpoint, "index": index, **by_organization}
