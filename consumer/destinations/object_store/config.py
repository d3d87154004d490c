"""Settings of the destination kind object-store."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from consumer.destinations.contract import Flow
from consumer.destinations.read_back import ReadBackSettings
from consumer.formats.source_labels import SECURITY_LAKE_ACCOUNT
from relay.config.base import AzureCredential, Count, ExpandedPath, OrganizationName, Seconds, SecretUrl

Scheme = Literal["file", "s3", "az", "gs"]

_URL = re.compile(r"(file|s3|az|gs)://(.*)", re.DOTALL)
_PREFIX = re.compile(r"[A-Za-z0-9.=-][A-Za-z0-9._=-]*")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,221}[a-z0-9]")
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_SOURCE = re.compile(r"/ext/[^/]+(/[^/]+)?$")
"""A custom source of Security Lake, and its version where it has one."""

SECURITY_LAKE_SECONDS = 300.0
"""Between objects, at least. Source: Amazon Security Lake, "Best practices for adding custom sources"."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where objects go: a directory, or a bucket (container) and a prefix in it."""

    scheme: Scheme
    bucket: str = ""
    """Empty for a directory."""
    prefix: str = ""
    """Without a slash at either end; may be empty."""
    account: str = ""
    """Of Azure; else empty."""
    directory: Path = Path()


def parse_location(url: str) -> Location:
    """Return the parts of a URL of the settings. Raises ValueError."""
    found = _URL.fullmatch(url.strip())
    if found is None:
        raise ValueError(
            "must be file:///DIRECTORY, s3://BUCKET/PREFIX, az://ACCOUNT/CONTAINER/PREFIX or gs://BUCKET/PREFIX"
        )
    scheme, rest = found.groups()
    if scheme == "file":
        if not rest.startswith("/") or not rest.isprintable() or ".." in Path(rest).parts:
            raise ValueError("must name a directory from the root on, such as file:///srv/jira-audit")
        return Location("file", directory=Path(rest))
    account, rest = rest.split("/", 1) if scheme == "az" and "/" in rest else ("", rest)
    bucket, _, prefix = rest.partition("/")
    if scheme == "az" and not _ACCOUNT.fullmatch(account):
        raise ValueError("must begin with the storage account, as in az://ACCOUNT/CONTAINER/PREFIX")
    if not _BUCKET.fullmatch(bucket):
        raise ValueError(f"must name a bucket or container after {scheme}://, and {bucket[:80]!r} is none")
    return Location(scheme, bucket, require_prefix(prefix) if prefix.strip("/") else "", account)  # type: ignore[arg-type]


def require_prefix(prefix: str) -> str:
    """Check a prefix of object names. Readers of data sets skip parts that begin with a dot or an underscore."""
    parts = prefix.strip("/").split("/")
    if any(not _PREFIX.fullmatch(part) or part.startswith(".") for part in parts):
        raise ValueError(
            "must have a prefix of letters, digits and . _ = - , whose parts begin with neither . nor _"
        )
    return "/".join(parts)


def _check_url(url: str) -> str:
    parse_location(url)
    return url.strip().rstrip("/")


StoreUrl = Annotated[str, AfterValidator(_check_url)]
Prefix = Annotated[str, AfterValidator(require_prefix)]
AccountId = Annotated[str, Field(pattern="^([0-9]{12}|external(_[A-Za-z0-9-]{1,60}){0,2})$")]
"""Of an AWS account, or a name for a source outside AWS (Amazon Security Lake, "Collecting data from custom sources")."""
Region = Annotated[str, Field(pattern="^[a-z0-9-]{2,40}$")]


class ObjectStoreConfig(ReadBackSettings):
    """Parquet objects in a bucket, a container or a directory, under a name of your choice: small letters, digits and underscores."""

    kind: Literal["object-store"] = Field(
        description="Kind of the destination. Not set: its name is its kind.", examples=["object-store"]
    )
    location: StoreUrl = Field(
        description="Where objects go: `s3://BUCKET/PREFIX`, `az://ACCOUNT/CONTAINER/PREFIX`, `gs://BUCKET/PREFIX` or "
        "`file:///DIRECTORY`. New events go to the folder live there, backfill and replay to the folder history.",
        examples=["s3://acme-audit/jira"],
    )
    by_organization: dict[OrganizationName, Prefix] = Field(
        default={},
        description="Prefix, within `location`, of each organization that has its own.",
        examples=[{"acme.atlassian.net": "organization=acme"}],
    )
    format: Literal["native", "ocsf"] = Field(
        default="native",
        description="Columns of an object: `native` has Jira's own names, `ocsf` is the Open Cybersecurity Schema Framework 1.3.0, "
        "class 3004.",
        examples=["ocsf"],
    )
    layout: Literal["daily", "security-lake"] = Field(
        default="daily",
        description="Folders of objects: `daily` has a folder for each day of collection, `security-lake` those of a custom source of "
        "Amazon Security Lake, by the day of the event. It needs the format `ocsf`, and `location` ends in `ext/SOURCE`.",
        examples=["daily"],
    )
    account_id: AccountId = Field(
        default=SECURITY_LAKE_ACCOUNT,
        description="accountId of new events in the layout `security-lake`: an AWS account, or `external_NAME`.",
        examples=["external_jira"],
    )
    history_account_id: AccountId | None = Field(
        default=None,
        description="accountId of backfill and replay in the layout `security-lake`. Not set: history is not sent there.",
        examples=["external_jira_history"],
    )
    endpoint: SecretUrl | None = Field(
        default=None,
        description="URL of the store's API, for MinIO, Ceph, R2, sovereign clouds and private endpoints; for Azure that of the storage account. "
        "Not set: that of the cloud.",
        examples=["https://minio.example.com:9000"],
    )
    region: Region | None = Field(
        default=None,
        description="Region of the S3 bucket. Not set: `AWS_REGION`, or us-east-1; the layout `security-lake` needs it.",
        examples=["eu-central-1"],
    )
    credential: AzureCredential = Field(
        default="default",
        description="Credential of azure-identity for `az://` without `credential_file`; its own variables (AZURE_…) apply.",
        examples=["managed-identity"],
    )
    credential_file: ExpandedPath | None = Field(
        default=None,
        description="File with the credential: for S3 as AWS writes it (`[default]`, `aws_access_key_id` …), for Azure a SAS token or "
        "an account key, for Google a service account's JSON. It is read again after a 401 or 403. Not set: the environment or the "
        "machine's identity.",
        examples=["/run/secrets/lake-credential"],
    )
    ca_file: ExpandedPath | None = Field(
        default=None,
        description="CA certificates (PEM) to trust beside the system's. A changed file counts for the next request.",
        examples=["/etc/relay/ca.pem"],
    )
    window_seconds: Seconds = Field(
        default=300.0,
        ge=1,
        le=3600,
        description="How long an event waits for others in the same object.",
        examples=[900],
    )
    max_rows: Count = Field(
        default=100_000, ge=1_000, le=1_000_000, description="Most events in an object.", examples=[250_000]
    )
    max_bytes: Count = Field(
        default=64_000_000,
        ge=16_000_000,
        le=1_000_000_000,
        description="Most bytes of an object's events in memory; Parquet has about a tenth of them. Each flow needs up to four times as much memory.",
        examples=[128_000_000],
    )

    @model_validator(mode="after")
    def _check_layout(self) -> Self:
        if self.read_back and self.layout != "daily":
            raise ValueError("read_back reads objects by their day of collection: it needs the layout daily")
        if self.layout == "security-lake":
            self._check_security_lake()
        elif self.account_id != SECURITY_LAKE_ACCOUNT:
            raise ValueError(
                "A destination has account_id without the layout security-lake, whose folders it names: set layout, or remove it"
            )
        return self

    def _check_security_lake(self) -> None:
        """Raise ValueError for settings that Security Lake refuses, or whose events it would lose from sight."""
        layout = "A destination has the layout security-lake"
        if self.format != "ocsf":
            raise ValueError(f'{layout}, which takes OCSF alone: set format = "ocsf"')
        if self.location.startswith("s3:") and self.endpoint is None and not _SOURCE.search(self.location):
            raise ValueError(
                f"{layout}, whose crawler looks into ext/SOURCE alone: set location to s3://BUCKET/ext/SOURCE"
            )
        if self.region is None:
            raise ValueError(f"{layout} without a region, which is a part of its folders: set region")
        if self.window_seconds < SECURITY_LAKE_SECONDS:
            raise ValueError(
                f"{layout}, which takes an object in five minutes: set window_seconds to 300 or more"
            )
        if self.by_organization:
            raise ValueError(
                f"{layout} and by_organization, which has no place in its folders: use a destination with where for each source"
            )
        if self.history_account_id == self.account_id:
            raise ValueError(
                f"{layout}, and history_account_id is account_id: history would raise alarms; use another name"
            )


def identity(config: ObjectStoreConfig) -> dict[Flow, dict[str, str]]:
    """Return where the objects of each flow go."""
    endpoint = {} if config.endpoint is None else {"endpoint": config.endpoint}
    format_ = {} if config.format == "native" else {"format": config.format}
    common = {"location": config.location, **endpoint, **format_}
    if config.layout == "security-lake":
        accounts: dict[Flow, str | None] = {"live": config.account_id, "history": config.history_account_id}
        return {
            flow: {**common, "layout": config.layout, "region": config.region or "", "account": account}
            for flow, account in accounts.items()
            if account is not None
        }
    prefixes = {f"prefix of {name}": prefix for name, prefix in sorted(config.by_organization.items())}
    flows: tuple[Flow, ...] = ("live", "history")
    return {flow: {**common, "folder": flow, **prefixes} for flow in flows}
